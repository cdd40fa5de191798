// Timers as fields: registered and taken back for the current key, in one request per call; and the timer that fires.

package tidemill

import (
	"fmt"
	"unicode/utf8"

	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// EventTimer fires for a key when the operator's watermark reaches its time.
type EventTimer struct{ part timerPart }

// ProcessingTimer fires for a key when the clock reaches its time.
type ProcessingTimer struct{ part timerPart }

// Timer is a timer that is due. Its key is valid during the call.
type Timer struct {
	// Key is what it was registered for.
	Key []byte
	// Time is what it was registered for, ms.
	Time int64
	// Watermark is the operator's, ms.
	Watermark int64
	// Name is its field's in the declaration.
	Name string
}

// KeyText gives the key as text; the error refuses the timer if it is not.
func (t *Timer) KeyText() (string, error) {
	if !utf8.Valid(t.Key) {
		return "", fmt.Errorf("the timer's key is not UTF-8 text")
	}
	return string(t.Key), nil
}

type timerAt struct {
	key  uint32
	time int64
}

// operation is the last one on a (key, time) of the call: registering twice is one timer, and a timer that is registered
// and then taken back is none.
type operation uint8

const (
	nothing operation = iota
	registering
	cancelling
)

type undoneTimer struct {
	at  int
	old operation
}

type timerPart struct {
	guest.Touch
	call       *guest.Call
	domain     host.TimeDomain
	timer      uint32
	name       string
	list       []timerAt
	operations []operation
	index      map[timerAt]int
	undo       []undoneTimer
	keys       host.Columns
	times      []int64
}

// Register registers it for the current key. A time that the watermark has passed fires right after the call.
func (t *EventTimer) Register(time int64) error { return t.part.set(time, registering) }

// Cancel takes it back.
func (t *EventTimer) Cancel(time int64) error { return t.part.set(time, cancelling) }

// Is says whether a timer that fired is this field's.
func (t *EventTimer) Is(fired *Timer) bool { return fired.Name == t.part.name }

// TidemillField declares and opens it.
func (t *EventTimer) TidemillField(name string, d *guest.Descriptor, opening *guest.Opening) error {
	return t.part.open(host.EventTime, name, d, opening)
}

// Register registers it for the current key.
func (t *ProcessingTimer) Register(time int64) error { return t.part.set(time, registering) }

// RegisterIn registers it for the current key, this many ms from now, and says for when.
func (t *ProcessingTimer) RegisterIn(ms int64) (int64, error) {
	time := t.part.call.Host.Now() + ms
	return time, t.part.set(time, registering)
}

// Cancel takes it back.
func (t *ProcessingTimer) Cancel(time int64) error { return t.part.set(time, cancelling) }

// Is says whether a timer that fired is this field's.
func (t *ProcessingTimer) Is(fired *Timer) bool { return fired.Name == t.part.name }

// TidemillField declares and opens it.
func (t *ProcessingTimer) TidemillField(name string, d *guest.Descriptor, opening *guest.Opening) error {
	return t.part.open(host.ProcessingTime, name, d, opening)
}

func (p *timerPart) open(domain host.TimeDomain, name string, d *guest.Descriptor, opening *guest.Opening) error {
	timer := guest.Next(&d.Timers, name)
	if opening != nil {
		*p = timerPart{call: opening.Call, domain: domain, timer: timer, name: name, index: map[timerAt]int{}}
		opening.Call.AddPart(p)
	}
	return nil
}

func (p *timerPart) set(time int64, to operation) error {
	if time < -TimeLimit || time > TimeLimit {
		return Rejectf("timer `%s`: %d ms is no time within +-(2^53 - 1)", p.name, time)
	}
	key, err := p.call.CurrentKey(p.name)
	if err != nil {
		return err
	}
	at, known := p.index[timerAt{key, time}]
	if !known {
		at = len(p.list)
		p.index[timerAt{key, time}] = at
		p.list = append(p.list, timerAt{key, time})
		p.operations = append(p.operations, nothing)
	}
	if old := p.operations[at]; old != to {
		p.call.Touch(p, &p.Touch)
		p.undo = append(p.undo, undoneTimer{at, old})
		p.operations[at] = to
	}
	return nil
}

// UndoEvent is a Part's.
func (p *timerPart) UndoEvent() {
	for i := len(p.undo) - 1; i >= 0; i-- {
		p.operations[p.undo[i].at] = p.undo[i].old
	}
	p.undo = p.undo[:0]
}

// KeepEvent is a Part's.
func (p *timerPart) KeepEvent() { p.undo = p.undo[:0] }

// WriteBack is a Part's.
func (p *timerPart) WriteBack() {
	if len(p.list) == 0 {
		return
	}
	all := p.call.Keys()
	for _, which := range []operation{cancelling, registering} {
		p.keys.Clear()
		p.times = p.times[:0]
		for i, at := range p.list {
			if p.operations[i] == which {
				p.keys.Push(all.Key(at.key))
				p.times = append(p.times, at.time)
			}
		}
		switch {
		case len(p.times) == 0:
		case which == registering:
			p.call.Host.Register(p.domain, p.timer, &p.keys, p.times)
		default:
			p.call.Host.Cancel(p.domain, p.timer, &p.keys, p.times)
		}
	}
	p.DropCall()
}

// DropCall is a Part's.
func (p *timerPart) DropCall() {
	p.list, p.operations, p.undo = p.list[:0], p.operations[:0], p.undo[:0]
	clear(p.index)
}
