// Output ports: events are built in columns, and each port is emitted once per call, or in pieces when there is much.

package tidemill

import (
	"encoding/json"

	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// emitBytes is how much a port holds before it is emitted between two events.
const emitBytes = 256 << 10

// Output is an output port.
type Output struct{ part port }

// lengths are those of the eight columns.
type lengths struct {
	times, keys, keyEnds, keyPresent, values, valueEnds, valuePresent, headers int
}

type port struct {
	guest.Touch
	call   *guest.Call
	port   uint32
	name   string
	built  host.Batch
	before lengths // before the event in progress, once it has emitted something
	noted  bool
}

// Emit emits an event with the time of the event or timer in progress. A nil key = none, a nil value = a tombstone.
func (o *Output) Emit(key, value []byte) error {
	time, ok := o.part.call.CurrentTime()
	if !ok {
		return o.noTime()
	}
	return o.EmitAt(time, key, value)
}

// EmitAt emits an event with this time, ms.
func (o *Output) EmitAt(time int64, key, value []byte) error {
	if err := o.part.start(time, key, nil); err != nil {
		return err
	}
	o.part.built.Values.Push(value)
	return nil
}

// EmitWithHeaders emits an event with headers.
func (o *Output) EmitWithHeaders(time int64, key, value []byte, headers ...Header) error {
	if err := o.part.start(time, key, headers); err != nil {
		return err
	}
	o.part.built.Values.Push(value)
	return nil
}

// EmitJSON emits an event with the current time and JSON as its value.
func (o *Output) EmitJSON(key []byte, value any) error {
	time, ok := o.part.call.CurrentTime()
	if !ok {
		return o.noTime()
	}
	return o.EmitJSONAt(time, key, value)
}

// EmitJSONAt emits an event with this time, ms, and JSON as its value.
func (o *Output) EmitJSONAt(time int64, key []byte, value any) error {
	bytes, err := json.Marshal(value)
	if err != nil {
		return Fatalf("port `%s`: the value cannot be written as JSON: %v", o.part.name, err)
	}
	return o.EmitAt(time, key, bytes)
}

// Forward emits an event as it came: time, key, value and headers.
func (o *Output) Forward(e *Event) error {
	var headers []Header
	for name, value := range e.Headers() {
		headers = append(headers, Header{Name: name, Value: value})
	}
	return o.EmitWithHeaders(e.Timestamp, e.Key, e.Value, headers...)
}

// ForwardBatch emits all events of a batch as they came, without looking at them. It cannot be undone for one event, so it
// is refused while one is in progress.
func (o *Output) ForwardBatch(b *Batch) error {
	if o.part.call.Current() >= 0 {
		return Fatalf("port `%s`: ForwardBatch within an event; use Forward", o.part.name)
	}
	o.part.WriteBack()
	if b.Len() > 0 {
		o.part.call.Host.Emit(o.part.port, b.columns)
	}
	return nil
}

func (o *Output) noTime() error {
	return Fatalf("port `%s`: no event is in progress to take the time from; use EmitAt", o.part.name)
}

// TidemillField declares and opens it.
func (o *Output) TidemillField(name string, d *guest.Descriptor, opening *guest.Opening) error {
	index := guest.Next(&d.Outputs, name)
	if opening != nil {
		o.part = port{call: opening.Call, port: index, name: name}
		opening.Call.AddPart(&o.part)
	}
	return nil
}

// start checks and builds everything of an event but its value.
func (p *port) start(time int64, key []byte, headers []Header) error {
	if time < -TimeLimit || time > TimeLimit {
		return Rejectf("port `%s`: %d ms is no time within +-(2^53 - 1)", p.name, time)
	}
	if len(headers) > guest.HeadersMax {
		return Rejectf("port `%s`: %d headers on one event, at most %d", p.name, len(headers), guest.HeadersMax)
	}
	b := &p.built
	if !p.noted {
		p.noted = true
		p.call.Touch(p, &p.Touch)
		p.before = lengths{
			len(b.Timestamps), len(b.Keys.Data), len(b.Keys.Ends), len(b.Keys.Present),
			len(b.Values.Data), len(b.Values.Ends), len(b.Values.Present), len(b.Headers),
		}
	}
	if len(headers) > 0 && len(b.Headers) == 0 {
		for range b.Timestamps {
			b.Headers = guest.AppendEntry(b.Headers, nil)
		}
	}
	if len(headers) > 0 || len(b.Headers) > 0 {
		b.Headers = guest.AppendEntry(b.Headers, headers)
	}
	b.Timestamps = append(b.Timestamps, time)
	b.Keys.Push(key)
	return nil
}

// UndoEvent is a Part's.
func (p *port) UndoEvent() {
	b, before := &p.built, &p.before
	b.Timestamps, b.Headers = b.Timestamps[:before.times], b.Headers[:before.headers]
	b.Keys = host.OptionalColumns{Data: b.Keys.Data[:before.keys], Ends: b.Keys.Ends[:before.keyEnds], Present: b.Keys.Present[:before.keyPresent]}
	b.Values = host.OptionalColumns{Data: b.Values.Data[:before.values], Ends: b.Values.Ends[:before.valueEnds], Present: b.Values.Present[:before.valuePresent]}
	p.noted = false
}

// KeepEvent is a Part's.
func (p *port) KeepEvent() {
	p.noted = false
	if p.built.Bytes() >= emitBytes {
		p.WriteBack()
	}
}

// WriteBack is a Part's.
func (p *port) WriteBack() {
	if p.built.Len() > 0 {
		p.call.Host.Emit(p.port, &p.built)
	}
	p.DropCall()
}

// DropCall is a Part's.
func (p *port) DropCall() {
	p.built.Clear()
	p.noted = false
}
