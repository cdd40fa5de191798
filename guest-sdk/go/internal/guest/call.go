// The call in progress: its events, which one is being handled, and the parts that hold its effects. The worlds begin and
// end it; every handle of the operator shares it.
//
// Invariants:
//  1. nothing of a call reaches the host before the events that caused it have succeeded;
//  2. undoing an event leaves every part as it was when the event began;
//  3. between calls every part is empty: an instance may be replaced there.

package guest

import (
	"fmt"
	"tidemill/internal/host"
)

// Part collects effects during a call: a state's cache, a port, a timer's operations, a metric.
type Part interface {
	// UndoEvent forgets what the event in progress did.
	UndoEvent()
	// KeepEvent makes it part of the call.
	KeepEvent()
	// WriteBack writes the call's effects to the host and empties the part.
	WriteBack()
	// DropCall drops the call's effects and empties the part.
	DropCall()
}

// Touch is what every part embeds: whether the event in progress used it.
type Touch struct{ touched bool }

// Call is the call in progress.
type Call struct {
	Host      host.Host
	parts     []Part
	touched   []touched
	events    *host.Batch
	keys      KeyIndex
	keysKnown bool
	current   int
}

type touched struct {
	part  Part
	touch *Touch
}

var noEvents host.Batch

// NewCall makes one for an instance.
func NewCall(h host.Host) *Call { return &Call{Host: h, events: &noEvents, current: -1} }

// AddPart adds a part, when the operator is opened.
func (c *Call) AddPart(part Part) { c.parts = append(c.parts, part) }

// Touch notes that the event in progress uses a part.
func (c *Call) Touch(part Part, touch *Touch) {
	if !touch.touched {
		touch.touched = true
		c.touched = append(c.touched, touched{part, touch})
	}
}

// Begin begins a call about these events or timers.
func (c *Call) Begin(events *host.Batch) {
	c.events, c.keysKnown, c.current = events, false, -1
}

// End ends the call: writes its effects, or drops them.
func (c *Call) End(err error) error {
	if err != nil {
		c.drop()
		return err
	}
	c.settle(Part.KeepEvent) // of what was done outside of any event
	for _, part := range c.parts {
		part.WriteBack()
	}
	c.Begin(&noEvents)
	return nil
}

func (c *Call) drop() {
	for _, part := range c.parts {
		part.DropCall()
	}
	for _, t := range c.touched {
		t.touch.touched = false
	}
	c.touched = c.touched[:0]
	c.Begin(&noEvents)
}

func (c *Call) settle(how func(Part)) {
	for _, t := range c.touched {
		how(t.part)
		t.touch.touched = false
	}
	c.touched = c.touched[:0]
}

// StartEvent begins event i. What it does stays or goes by EndEvent.
func (c *Call) StartEvent(i int) { c.current = i }

// EndEvent ends it: on nil what it did is kept, else undone. It gives back why the event was refused, or the error
// that ends the call.
func (c *Call) EndEvent(err error) (reason string, refused bool, failed error) {
	if err == nil {
		for _, t := range c.touched {
			t.part.KeepEvent()
			t.touch.touched = false
		}
		c.touched = c.touched[:0]
		c.current = -1
		return "", false, nil
	}
	if failed := Failure(err); failed != nil {
		return "", false, failed
	}
	c.settle(Part.UndoEvent)
	c.current = -1
	return err.Error(), true, nil
}

// Forget undoes what was done since the last event, as if it had been refused.
func (c *Call) Forget() {
	c.settle(Part.UndoEvent)
	c.current = -1
}

// Current is the event in progress; -1 = none.
func (c *Call) Current() int { return c.current }

// CurrentTime is the time of the event or timer in progress.
func (c *Call) CurrentTime() (int64, bool) {
	if c.current < 0 {
		return 0, false
	}
	return c.events.Timestamps[c.current], true
}

// CurrentKey is the number of the current event's key, for what (a state or timer, named in the error).
func (c *Call) CurrentKey(what string) (uint32, error) {
	if c.current < 0 {
		return 0, Fatalf("%s: no event is in progress, so there is no key; use keyed state and timers while an event or timer is handled", what)
	}
	if id := c.Keys().ids[c.current]; id != noKey {
		return id, nil
	}
	return 0, &Rejected{fmt.Sprintf("%s: the event has no key; give the source or the upstream operator one", what)}
}

// Keys are the distinct keys of the call.
func (c *Call) Keys() *KeyIndex {
	if !c.keysKnown {
		c.keysKnown = true
		c.keys.build(&c.events.Keys)
	}
	return &c.keys
}
