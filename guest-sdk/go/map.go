// Map state: sub-keys with values, in order, per key. Each entry is read when first needed; a cleared key is known to be
// empty and asks the host nothing more. A scan merges what the host has with what the call wrote.

package tidemill

import (
	"bytes"
	"sort"

	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// Map is any number of V by K for the current key, in the order of K. K is an integer, a string, []byte or a SubKeyCodec;
// V is stored as a Value's is.
type Map[K, V any] struct {
	part    mapPart
	subKeys guest.Codec[K]
	values  guest.Codec[V]
}

// Entry is a sub-key and its value.
type Entry[K, V any] struct {
	Key   K
	Value V
}

// indexed is how many entries of a key are searched one by one; more get an index.
const indexed = 16

type mapEntry struct {
	subKey []byte
	slot   uint32
}

// keyEntries is what the call knows of one key: its entries' slots, and whether the host's are to be thrown away.
type keyEntries struct {
	cleared bool
	entries []mapEntry
	index   map[string]uint32
}

type undoneClear struct {
	key uint32
	old keyEntries
}

type mapPart struct {
	guest.Touch
	call          *guest.Call
	state         uint32
	name          string
	keys          []keyEntries
	slots         slots
	undo          []undoneClear
	subKey        []byte
	putKeys, subs host.Columns
	putValues     host.OptionalColumns
}

// Get gives the value of a sub-key, if there is one.
func (m *Map[K, V]) Get(subKey K) (value V, there bool, err error) {
	id, err := m.slot(&subKey)
	if err != nil {
		return value, false, err
	}
	bytes := m.part.read(id)
	if bytes == nil {
		return value, false, nil
	}
	if err := m.values.Read(bytes, &value); err != nil {
		return value, false, guest.CannotRead(m.part.name, err)
	}
	return value, true, nil
}

// Put sets the value of a sub-key.
func (m *Map[K, V]) Put(subKey K, value V) error {
	id, err := m.slot(&subKey)
	if err != nil {
		return err
	}
	bytes, err := m.values.Append(m.part.slots.start(), &value)
	if err != nil {
		return guest.CannotWrite(m.part.name, err)
	}
	m.part.touch()
	m.part.slots.set(id, bytes)
	return nil
}

// Update replaces the value of a sub-key (or V's zero value) by what change makes of it, and gives that back.
func (m *Map[K, V]) Update(subKey K, change func(V) V) (V, error) {
	value, _, err := m.Get(subKey)
	if err != nil {
		return value, err
	}
	value = change(value)
	return value, m.Put(subKey, value)
}

// Delete removes a sub-key.
func (m *Map[K, V]) Delete(subKey K) error {
	id, err := m.slot(&subKey)
	if err != nil {
		return err
	}
	m.part.touch()
	m.part.slots.delete(id)
	return nil
}

// Take removes a sub-key and gives its value back.
func (m *Map[K, V]) Take(subKey K) (value V, there bool, err error) {
	value, there, err = m.Get(subKey)
	if there {
		err = m.Delete(subKey)
	}
	return value, there, err
}

// Clear removes every entry of the current key.
func (m *Map[K, V]) Clear() error {
	key, err := m.part.key()
	if err != nil {
		return err
	}
	m.part.touch()
	m.part.undo = append(m.part.undo, undoneClear{key, m.part.keys[key]})
	m.part.keys[key] = keyEntries{cleared: true}
	return nil
}

// Entries gives all entries, in order of their sub-keys.
func (m *Map[K, V]) Entries() ([]Entry[K, V], error) { return m.scan(nil, nil, 0) }

// First gives the first entries, at most limit, in order of their sub-keys.
func (m *Map[K, V]) First(limit int) ([]Entry[K, V], error) {
	if limit <= 0 {
		return nil, nil
	}
	return m.scan(nil, nil, limit)
}

// Range gives the entries from one sub-key to right before another, in order.
func (m *Map[K, V]) Range(from, to K) ([]Entry[K, V], error) {
	start, err := m.subKeys.Append([]byte{}, &from)
	if err != nil {
		return nil, guest.CannotWrite(m.part.name, err)
	}
	end, err := m.subKeys.Append([]byte{}, &to)
	if err != nil {
		return nil, guest.CannotWrite(m.part.name, err)
	}
	return m.scan(start, end, 0)
}

func (m *Map[K, V]) scan(start, end []byte, limit int) (out []Entry[K, V], err error) {
	key, err := m.part.key()
	if err != nil {
		return nil, err
	}
	err = m.part.scan(key, start, end, limit, func(sub, value []byte) (bool, error) {
		var entry Entry[K, V]
		err := m.subKeys.Read(sub, &entry.Key)
		if err == nil {
			err = m.values.Read(value, &entry.Value)
		}
		if err != nil {
			return false, guest.CannotRead(m.part.name, err)
		}
		out = append(out, entry)
		return limit == 0 || len(out) < limit, nil
	})
	return out, err
}

func (m *Map[K, V]) slot(subKey *K) (uint32, error) {
	key, err := m.part.key()
	if err != nil {
		return 0, err
	}
	if m.part.subKey, err = m.subKeys.Append(m.part.subKey[:0], subKey); err != nil {
		return 0, guest.CannotWrite(m.part.name, err)
	}
	return m.part.slot(key), nil
}

// TidemillField declares and opens it.
func (m *Map[K, V]) TidemillField(name string, d *guest.Descriptor, opening *guest.Opening) error {
	state := guest.NextKind(&d.States, name, "map")
	subKeys, ok := guest.SubKeyOf[K]()
	if !ok {
		return guest.NotASubKey[K](name)
	}
	if opening != nil {
		m.subKeys, m.values = subKeys, guest.CodecOf[V]()
		m.part = mapPart{call: opening.Call, state: state, name: name}
		opening.Call.AddPart(&m.part)
	}
	return nil
}

func (p *mapPart) touch() { p.call.Touch(p, &p.Touch) }

func (p *mapPart) key() (uint32, error) {
	key, err := p.call.CurrentKey(p.name)
	if err == nil && len(p.keys) == 0 {
		p.keys = append(p.keys, make([]keyEntries, p.call.Keys().Len())...)
	}
	return key, err
}

// slot gives the slot of the entry under subKey, made if need be.
func (p *mapPart) slot(key uint32) uint32 {
	k := &p.keys[key]
	if k.index != nil {
		if id, ok := k.index[string(p.subKey)]; ok {
			return id
		}
	} else {
		for i := range k.entries {
			if bytes.Equal(k.entries[i].subKey, p.subKey) {
				return k.entries[i].slot
			}
		}
	}
	id := uint32(len(p.slots.slots))
	p.slots.resize(int(id) + 1)
	if k.cleared {
		p.slots.fill(id, nil)
	}
	k.entries = append(k.entries, mapEntry{bytes.Clone(p.subKey), id})
	if k.index == nil && len(k.entries) > indexed {
		k.index = make(map[string]uint32, 2*len(k.entries))
		for _, e := range k.entries {
			k.index[string(e.subKey)] = e.slot
		}
	} else if k.index != nil {
		k.index[string(p.subKey)] = id
	}
	return id
}

// read gives the bytes of the slot of the entry under subKey.
func (p *mapPart) read(id uint32) []byte {
	if !p.slots.slots[id].known {
		key, err := p.call.CurrentKey(p.name)
		if err != nil {
			return nil // there was one when the slot was made
		}
		p.putKeys.Clear()
		p.subs.Clear()
		p.putKeys.Push(p.call.Keys().Key(key))
		p.subs.Push(p.subKey)
		values := p.call.Host.Get(p.state, &p.putKeys, &p.subs)
		p.slots.fill(id, values.Get(0))
	}
	return p.slots.get(id)
}

// sorted puts the entries of a key in order of their sub-keys. The index holds slots, so it stays true.
func (k *keyEntries) sorted() []mapEntry {
	sort.Slice(k.entries, func(a, b int) bool { return bytes.Compare(k.entries[a].subKey, k.entries[b].subKey) < 0 })
	return k.entries
}

// scan merges what the host has with what the call knows better, in order, until yield has enough.
func (p *mapPart) scan(key uint32, start, end []byte, limit int, yield func(sub, value []byte) (bool, error)) error {
	k := &p.keys[key]
	var written []mapEntry
	for _, e := range k.sorted() {
		within := (start == nil || bytes.Compare(start, e.subKey) <= 0) && (end == nil || bytes.Compare(e.subKey, end) < 0)
		if within && p.slots.slots[e.slot].dirty {
			written = append(written, e)
		}
	}
	take := func(sub, value []byte) (bool, error) {
		if value == nil {
			return true, nil
		}
		return yield(sub, value)
	}
	ranges := []host.ScanRange{{Key: p.call.Keys().Key(key), Start: start, End: end}}
	var cursor []byte
	for more := !k.cleared; more; more = cursor != nil {
		want := uint32(0)
		if limit > 0 && limit < 1024 {
			want = uint32(limit)
		}
		page := p.call.Host.Scan(p.state, ranges, want, cursor)
		for i := range page.SubKeys.Len() {
			sub, value := page.SubKeys.Get(i), page.Values.Get(i)
			if value == nil {
				value = []byte{}
			}
			for len(written) > 0 && bytes.Compare(written[0].subKey, sub) < 0 {
				if on, err := take(written[0].subKey, p.slots.get(written[0].slot)); !on || err != nil {
					return err
				}
				written = written[1:]
			}
			if len(written) > 0 && bytes.Equal(written[0].subKey, sub) {
				value, written = p.slots.get(written[0].slot), written[1:]
			}
			if on, err := take(sub, value); !on || err != nil {
				return err
			}
		}
		cursor = page.Cursor
	}
	for _, e := range written {
		if on, err := take(e.subKey, p.slots.get(e.slot)); !on || err != nil {
			return err
		}
	}
	return nil
}

// UndoEvent is a Part's.
func (p *mapPart) UndoEvent() {
	for i := len(p.undo) - 1; i >= 0; i-- {
		p.keys[p.undo[i].key] = p.undo[i].old
	}
	p.undo = p.undo[:0]
	p.slots.undoEvent()
}

// KeepEvent is a Part's.
func (p *mapPart) KeepEvent() {
	p.undo = p.undo[:0]
	p.slots.keepEvent()
}

// WriteBack is a Part's.
func (p *mapPart) WriteBack() {
	if len(p.keys) == 0 {
		return
	}
	all := p.call.Keys()
	p.putKeys.Clear()
	for id := range p.keys {
		if p.keys[id].cleared {
			p.putKeys.Push(all.Key(uint32(id)))
		}
	}
	if p.putKeys.Len() > 0 {
		p.call.Host.Clear(p.state, &p.putKeys)
	}
	p.putKeys.Clear()
	p.subs.Clear()
	p.putValues.Clear()
	for id := range p.keys {
		for _, e := range p.keys[id].sorted() {
			if p.slots.slots[e.slot].dirty {
				p.putKeys.Push(all.Key(uint32(id)))
				p.subs.Push(e.subKey)
				p.putValues.Push(p.slots.get(e.slot))
			}
		}
	}
	if p.putKeys.Len() > 0 {
		p.call.Host.Put(p.state, &p.putKeys, &p.subs, &p.putValues)
	}
	p.DropCall()
}

// DropCall is a Part's.
func (p *mapPart) DropCall() {
	clear(p.keys)
	p.keys, p.undo = p.keys[:0], p.undo[:0]
	p.slots.clear()
}
