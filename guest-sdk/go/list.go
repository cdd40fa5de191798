// List state: values appended per key. Appends of a call are sent in one request; reading puts them after what the host
// has.

package tidemill

import (
	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// List is a list of T for the current key; T is stored as a Value's is.
type List[T any] struct {
	part  listPart
	codec guest.Codec[T]
}

type keyList struct {
	cleared  bool
	read     bool
	stored   []host.Columns // the host's values, once read
	appended host.Columns
}

// undoneList is what an event did: appended (how long it was before), or cleared.
type undoneList struct {
	key        uint32
	clear      bool
	old        keyList
	data, ends int
}

type listPart struct {
	guest.Touch
	call         *guest.Call
	state        uint32
	name         string
	keys         []keyList
	undo         []undoneList
	keyColumn    host.Columns
	valuesColumn host.Columns
}

// Push appends a value.
func (l *List[T]) Push(value T) error {
	key, err := l.part.key()
	if err != nil {
		return err
	}
	to := &l.part.keys[key].appended
	before := undoneList{key: key, data: len(to.Data), ends: len(to.Ends)}
	grown, err := l.codec.Append(to.Data, &value)
	if err != nil {
		return guest.CannotWrite(l.part.name, err)
	}
	l.part.call.Touch(&l.part, &l.part.Touch)
	l.part.undo = append(l.part.undo, before)
	to.Data = grown
	to.Ends = append(to.Ends, uint32(len(grown)))
	return nil
}

// Get gives all values, in the order in which they were appended.
func (l *List[T]) Get() ([]T, error) {
	key, err := l.part.key()
	if err != nil {
		return nil, err
	}
	list := &l.part.keys[key]
	if !list.read && !list.cleared {
		list.stored, list.read = l.part.fetch(key), true
	}
	var out []T
	for i := range len(list.stored) + 1 {
		page := &list.appended
		if i < len(list.stored) {
			page = &list.stored[i]
		}
		for j := range page.Len() {
			var value T
			if err := l.codec.Read(page.Get(j), &value); err != nil {
				return nil, guest.CannotRead(l.part.name, err)
			}
			out = append(out, value)
		}
	}
	return out, nil
}

// Clear removes all values.
func (l *List[T]) Clear() error {
	key, err := l.part.key()
	if err != nil {
		return err
	}
	l.part.call.Touch(&l.part, &l.part.Touch)
	l.part.undo = append(l.part.undo, undoneList{key: key, clear: true, old: l.part.keys[key]})
	l.part.keys[key] = keyList{cleared: true}
	return nil
}

// Take removes all values and gives them back.
func (l *List[T]) Take() ([]T, error) {
	values, err := l.Get()
	if err != nil {
		return nil, err
	}
	return values, l.Clear()
}

// Set replaces all values.
func (l *List[T]) Set(values []T) error {
	if err := l.Clear(); err != nil {
		return err
	}
	for _, value := range values {
		if err := l.Push(value); err != nil {
			return err
		}
	}
	return nil
}

// TidemillField declares and opens it.
func (l *List[T]) TidemillField(name string, d *guest.Descriptor, opening *guest.Opening) error {
	state := guest.NextKind(&d.States, name, "list")
	if opening != nil {
		l.codec = guest.CodecOf[T]()
		l.part = listPart{call: opening.Call, state: state, name: name}
		opening.Call.AddPart(&l.part)
	}
	return nil
}

func (p *listPart) key() (uint32, error) {
	key, err := p.call.CurrentKey(p.name)
	if err == nil && len(p.keys) == 0 {
		p.keys = append(p.keys, make([]keyList, p.call.Keys().Len())...)
	}
	return key, err
}

func (p *listPart) fetch(key uint32) (pages []host.Columns) {
	ranges := []host.ScanRange{{Key: p.call.Keys().Key(key)}}
	for cursor, more := []byte(nil), true; more; more = cursor != nil {
		page := p.call.Host.Scan(p.state, ranges, 0, cursor)
		pages = append(pages, page.Values)
		cursor = page.Cursor
	}
	return pages
}

// UndoEvent is a Part's.
func (p *listPart) UndoEvent() {
	for i := len(p.undo) - 1; i >= 0; i-- {
		undo := &p.undo[i]
		list := &p.keys[undo.key]
		if undo.clear {
			*list = undo.old
			continue
		}
		list.appended.Data = list.appended.Data[:undo.data]
		list.appended.Ends = list.appended.Ends[:undo.ends]
	}
	p.undo = p.undo[:0]
}

// KeepEvent is a Part's.
func (p *listPart) KeepEvent() { p.undo = p.undo[:0] }

// WriteBack is a Part's.
func (p *listPart) WriteBack() {
	if len(p.keys) == 0 {
		return
	}
	all := p.call.Keys()
	keys, values := &p.keyColumn, &p.valuesColumn
	keys.Clear()
	for id := range p.keys {
		if p.keys[id].cleared {
			keys.Push(all.Key(uint32(id)))
		}
	}
	if keys.Len() > 0 {
		p.call.Host.Clear(p.state, keys)
	}
	keys.Clear()
	values.Clear()
	for id := range p.keys {
		appended := &p.keys[id].appended
		for i := range appended.Len() {
			keys.Push(all.Key(uint32(id)))
			values.Push(appended.Get(i))
		}
	}
	if keys.Len() > 0 {
		p.call.Host.Append(p.state, keys, values)
	}
	p.DropCall()
}

// DropCall is a Part's.
func (p *listPart) DropCall() {
	clear(p.keys)
	p.keys, p.undo = p.keys[:0], p.undo[:0]
}
