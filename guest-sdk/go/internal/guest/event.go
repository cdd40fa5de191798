// The events of a call as the operator sees them: slices of the columns that the host handed over, never copied.

package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"tidemill/internal/host"
	"unicode/utf8"
)

// Event is one event. Its slices are valid during the call: what must outlive it is copied.
type Event struct {
	// Key is its routing key; nil = none.
	Key []byte
	// Value is its payload; nil = a tombstone.
	Value []byte
	// Timestamp is its event time, ms.
	Timestamp int64
	// Watermark is the operator's when the event came, ms. An event below it is late.
	Watermark int64
	// Input is the index of the input that it came from.
	Input uint32

	headers []byte
}

// Rejection is an event or timer of the call that was refused, and why.
type Rejection struct {
	Index  uint32
	Reason string
}

// Text gives the payload as text; the error refuses the event if that is not what it is.
func (e *Event) Text() (string, error) { return text(e.Value, "value") }

// KeyText gives the key as text; the error refuses the event if that is not what it is.
func (e *Event) KeyText() (string, error) { return text(e.Key, "key") }

// JSON reads the payload as JSON into what `into` points to; the error refuses the event if that fails.
func (e *Event) JSON(into any) error {
	if e.Value == nil {
		return errors.New("the event has no value (a tombstone); JSON is needed")
	}
	if err := json.Unmarshal(e.Value, into); err != nil {
		return fmt.Errorf("the value is not the JSON that is needed: %w", err)
	}
	return nil
}

// Headers gives its headers, in order.
func (e *Event) Headers() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) { eachHeader(e.headers, yield) }
}

// Header gives the value of the first header of this name.
func (e *Event) Header(name string) (value []byte, there bool) {
	eachHeader(e.headers, func(n string, v []byte) bool {
		if n == name {
			value, there = v, true
		}
		return !there
	})
	return value, there
}

func text(bytes []byte, what string) (string, error) {
	if bytes == nil {
		return "", fmt.Errorf("the event has no %s; text is needed", what)
	}
	if !utf8.Valid(bytes) {
		return "", fmt.Errorf("the %s is not UTF-8 text", what)
	}
	return string(bytes), nil
}

// Reader gives the events of a batch in one Event that is used again.
type Reader struct {
	columns *host.Batch
	event   Event
	ends    []int // of the headers of each event, if any has some
}

// NewReader is for these events.
func NewReader(columns *host.Batch, input uint32, watermark int64) Reader {
	r := Reader{columns: columns, event: Event{Input: input, Watermark: watermark}}
	if rest := columns.Headers; len(rest) > 0 {
		r.ends = make([]int, columns.Len())
		for i := range r.ends {
			rest = rest[EntryLen(rest):]
			r.ends[i] = len(columns.Headers) - len(rest)
		}
	}
	return r
}

// Read gives event i.
func (r *Reader) Read(i int) *Event {
	r.event.Key = r.columns.Keys.Get(i)
	r.event.Value = r.columns.Values.Get(i)
	r.event.Timestamp = r.columns.Timestamps[i]
	if r.ends != nil {
		start := 0
		if i > 0 {
			start = r.ends[i-1]
		}
		r.event.headers = r.columns.Headers[start:r.ends[i]:r.ends[i]]
	}
	return &r.event
}

// Each hands the events of the call to `handle` one by one, each a transaction of its own.
func Each(c *Call, columns *host.Batch, input uint32, watermark int64, handle func(*Event) error) ([]Rejection, error) {
	var refused []Rejection
	reader := NewReader(columns, input, watermark)
	for i := range columns.Len() {
		event := reader.Read(i)
		c.StartEvent(i)
		reason, no, err := c.EndEvent(handle(event))
		if err != nil {
			return nil, err
		}
		if no {
			refused = append(refused, Rejection{uint32(i), reason})
		}
	}
	return refused, nil
}
