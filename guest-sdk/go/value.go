// Value state: one value per key. The first read in a call fetches it for every key of the batch at once, and what changed
// is written in one request when the call ends.

package tidemill

import (
	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// Value is one T for the current key. Numbers, bools, strings and []byte are stored as they are, a T with AppendState and
// ReadState by these, any other as JSON.
type Value[T any] struct {
	part  valuePart
	codec guest.Codec[T]
}

type valuePart struct {
	guest.Touch
	call    *guest.Call
	state   uint32
	name    string
	slots   slots
	unknown []uint32
	keys    host.Columns
	values  host.OptionalColumns
}

// Get gives the value, if there is one.
func (v *Value[T]) Get() (value T, there bool, err error) {
	id, err := v.part.slot()
	if err != nil {
		return value, false, err
	}
	if !v.part.slots.slots[id].known {
		v.part.fetch()
	}
	bytes := v.part.slots.get(id)
	if bytes == nil {
		return value, false, nil
	}
	if err := v.codec.Read(bytes, &value); err != nil {
		return value, false, guest.CannotRead(v.part.name, err)
	}
	return value, true, nil
}

// Set sets the value.
func (v *Value[T]) Set(value T) error {
	id, err := v.part.slot()
	if err != nil {
		return err
	}
	return v.set(id, &value)
}

func (v *Value[T]) set(id uint32, value *T) error {
	bytes, err := v.codec.Append(v.part.slots.start(), value)
	if err != nil {
		return guest.CannotWrite(v.part.name, err)
	}
	v.part.call.Touch(&v.part, &v.part.Touch)
	v.part.slots.set(id, bytes)
	return nil
}

// Update replaces the value (or T's zero value) by what change makes of it, and gives that back.
func (v *Value[T]) Update(change func(T) T) (T, error) {
	value, _, err := v.Get()
	if err != nil {
		return value, err
	}
	value = change(value)
	return value, v.Set(value)
}

// Clear removes the value.
func (v *Value[T]) Clear() error {
	id, err := v.part.slot()
	if err != nil {
		return err
	}
	v.part.call.Touch(&v.part, &v.part.Touch)
	v.part.slots.delete(id)
	return nil
}

// Take removes the value and gives it back.
func (v *Value[T]) Take() (value T, there bool, err error) {
	value, there, err = v.Get()
	if there {
		err = v.Clear()
	}
	return value, there, err
}

// TidemillField declares and opens it.
func (v *Value[T]) TidemillField(name string, d *guest.Descriptor, opening *guest.Opening) error {
	state := guest.NextKind(&d.States, name, "value")
	if opening != nil {
		v.codec = guest.CodecOf[T]()
		v.part = valuePart{call: opening.Call, state: state, name: name}
		opening.Call.AddPart(&v.part)
	}
	return nil
}

func (p *valuePart) slot() (uint32, error) {
	id, err := p.call.CurrentKey(p.name)
	if err == nil && len(p.slots.slots) == 0 {
		p.slots.resize(p.call.Keys().Len())
	}
	return id, err
}

// fetch reads every key of the call that is not known yet.
func (p *valuePart) fetch() {
	all := p.call.Keys()
	p.unknown = p.unknown[:0]
	for id := range p.slots.slots {
		if !p.slots.slots[id].known {
			p.unknown = append(p.unknown, uint32(id))
		}
	}
	keys := all.All()
	if len(p.unknown) < all.Len() {
		p.keys.Clear()
		for _, id := range p.unknown {
			p.keys.Push(all.Key(id))
		}
		keys = &p.keys
	}
	values := p.call.Host.Get(p.state, keys, nil)
	for i, id := range p.unknown {
		p.slots.fill(id, values.Get(i))
	}
}

// UndoEvent is a Part's.
func (p *valuePart) UndoEvent() { p.slots.undoEvent() }

// KeepEvent is a Part's.
func (p *valuePart) KeepEvent() { p.slots.keepEvent() }

// WriteBack is a Part's.
func (p *valuePart) WriteBack() {
	if len(p.slots.slots) == 0 {
		return
	}
	all := p.call.Keys()
	p.keys.Clear()
	p.values.Clear()
	for id := range p.slots.slots {
		if p.slots.slots[id].dirty {
			p.keys.Push(all.Key(uint32(id)))
			p.values.Push(p.slots.get(uint32(id)))
		}
	}
	if p.keys.Len() > 0 {
		p.call.Host.Put(p.state, &p.keys, nil, &p.values)
	}
	p.slots.clear()
}

// DropCall is a Part's.
func (p *valuePart) DropCall() { p.slots.clear() }
