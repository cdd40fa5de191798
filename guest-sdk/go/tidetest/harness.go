//go:build !wasip1

// The harness that a test drives an operator by.

// Package tidetest runs an operator under `go test`, without Wasm: the same code and the same rules over a host in memory.
//
//	h := tidetest.Open(t, &Count{})
//	h.Send(tidetest.Event("a", "x"), tidetest.Event("a", "y"))
//	got := h.Output("counts")
package tidetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"tidemill"
	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// Record is an event: what a test sends, and what it gets.
type Record struct {
	Key     []byte
	Value   []byte
	Time    int64
	Headers []tidemill.Header
}

// DeadLetter is an event (or timer, without a value) that was refused.
type DeadLetter struct {
	Record Record
	Reason string
}

// Event is a record at time 0, without headers.
func Event(key, value string) Record { return Record{Key: []byte(key), Value: []byte(value)} }

// At gives the record at this time, ms.
func (r Record) At(time int64) Record {
	r.Time = time
	return r
}

// WithHeader gives the record with one more header.
func (r Record) WithHeader(name, value string) Record {
	r.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], tidemill.Header{Name: name, Value: []byte(value)})
	return r
}

// Equal says whether two records are the same; absent differs from empty.
func (r Record) Equal(other Record) bool {
	same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	if !same(r.Key, other.Key) || !same(r.Value, other.Value) || r.Time != other.Time || len(r.Headers) != len(other.Headers) {
		return false
	}
	for i, h := range r.Headers {
		if h.Name != other.Headers[i].Name || !bytes.Equal(h.Value, other.Headers[i].Value) {
			return false
		}
	}
	return true
}

// String is for test output.
func (r Record) String() string {
	text := func(b []byte) string {
		if b == nil {
			return "-"
		}
		return fmt.Sprintf("%q", b)
	}
	out := fmt.Sprintf("%d ms %s=%s", r.Time, text(r.Key), text(r.Value))
	for _, h := range r.Headers {
		out += fmt.Sprintf(" %s:%q", h.Name, h.Value)
	}
	return out
}

// Harness is an operator, its state and timers, and what came out of it.
type Harness struct {
	t          testing.TB
	pristine   reflect.Value
	options    []tidemill.Option
	config     string
	runner     *tidemill.Runner
	descriptor *guest.Descriptor
	memory     *memory
	watermark  int64
	dead       []DeadLetter
}

// Open opens an operator without configuration; what it is given is not changed.
func Open(t testing.TB, operator any, options ...tidemill.Option) *Harness {
	t.Helper()
	h, err := TryOpen(t, operator, nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// OpenWith opens an operator with this `config`, given as what json.Marshal takes.
func OpenWith(t testing.TB, operator, config any, options ...tidemill.Option) *Harness {
	t.Helper()
	h, err := TryOpen(t, operator, config, options...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TryOpen is OpenWith for tests of what refuses to open.
func TryOpen(t testing.TB, operator, config any, options ...tidemill.Option) (*Harness, error) {
	t.Helper()
	host.TakeLog()
	text := "{}"
	if config != nil {
		b, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	descriptor, err := tidemill.DescribeOperator(operator, options...)
	if err != nil {
		return nil, err
	}
	pristine := reflect.New(reflect.TypeOf(operator).Elem())
	pristine.Elem().Set(reflect.ValueOf(operator).Elem())
	h := &Harness{
		t: t, pristine: pristine, options: options, config: text, descriptor: descriptor, memory: newMemory(t), watermark: tidemill.NoWatermark,
	}
	h.memory.kinds = descriptor.States
	return h, h.open()
}

func (h *Harness) open() (err error) {
	fresh := reflect.New(h.pristine.Type().Elem())
	fresh.Elem().Set(h.pristine.Elem())
	h.runner, err = tidemill.OpenOperator(fresh.Interface(), h.options, h.config, h.memory)
	return err
}

func (h *Harness) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// Send makes one call with these events on the first input. Timers that are due by then fire after it.
func (h *Harness) Send(events ...Record) {
	h.t.Helper()
	h.must(h.TrySend(0, events...))
}

// SendTo is Send on an input, by its index.
func (h *Harness) SendTo(input uint32, events ...Record) {
	h.t.Helper()
	h.must(h.TrySend(input, events...))
}

// TrySend is SendTo for tests of calls that fail: the error is what the host gets, and every effect is dropped.
func (h *Harness) TrySend(input uint32, events ...Record) error {
	err := h.transaction(events, func() error {
		refused, err := h.runner.Process(input, h.watermark, columnsOf(events))
		if err == nil {
			for _, r := range refused {
				h.dead = append(h.dead, DeadLetter{events[r.Index], r.Reason})
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return h.fire()
}

// Watermark moves the watermark: fires the event-time timers that it makes due, then tells the operator if it wants that.
func (h *Harness) Watermark(time int64) {
	h.t.Helper()
	h.must(h.TryWatermark(time))
}

// TryWatermark is Watermark for tests of calls that fail.
func (h *Harness) TryWatermark(time int64) error {
	if time <= h.watermark {
		return nil
	}
	h.watermark, h.memory.watermark = time, time
	h.memory.free()
	if err := h.fire(); err != nil {
		return err
	}
	if !h.descriptor.Wants.Watermarks {
		return nil
	}
	return h.transaction(nil, func() error { return h.runner.OnWatermark(time) })
}

// Clock moves the clock: fires the processing-time timers that are due.
func (h *Harness) Clock(now int64) {
	h.t.Helper()
	h.memory.clock = now
	h.memory.free()
	h.must(h.fire())
}

// End ends the input: the last watermark, then Close.
func (h *Harness) End() {
	h.t.Helper()
	h.Watermark(tidemill.EndOfInput)
	h.must(h.transaction(nil, h.runner.Close))
}

// ReplaceInstance replaces the instance, as the host may do between any two calls: state and timers stay, memory does not.
func (h *Harness) ReplaceInstance() {
	h.t.Helper()
	h.must(h.open())
}

func (h *Harness) fire() error {
	for {
		due := h.memory.due(h.watermark)
		if len(due) == 0 {
			return nil
		}
		var keys host.Columns
		var times []int64
		var about []Record
		for _, one := range due {
			keys.Push([]byte(one.key))
			times = append(times, one.time)
			about = append(about, Record{Key: []byte(one.key), Time: one.time})
		}
		err := h.transaction(about, func() error {
			for _, one := range due {
				delete(h.memory.now.timers, one)
			}
			refused, err := h.runner.OnTimers(due[0].timer, &keys, times, h.watermark)
			for _, r := range refused {
				record := Record{Key: []byte(due[r.Index].key), Time: due[r.Index].time}
				h.dead = append(h.dead, DeadLetter{record, r.Reason})
			}
			return err
		})
		if err != nil {
			return err
		}
	}
}

// transaction makes a call about these events or timers: an error drops everything it did.
func (h *Harness) transaction(about []Record, call func() error) error {
	h.memory.begin(h.watermark, about)
	err := call()
	if err != nil {
		h.memory.rollBack()
	}
	return err
}

// Output takes what came out of a port since last asked.
func (h *Harness) Output(port string) (records []Record) {
	h.t.Helper()
	index := h.index("output port", port, named(h.descriptor.Outputs))
	var left []emitted
	for _, e := range h.memory.now.output {
		if e.port == index {
			records = append(records, e.record)
		} else {
			left = append(left, e)
		}
	}
	h.memory.now.output = left
	return records
}

// Expect fails the test unless exactly these records came out of a port since last asked.
func (h *Harness) Expect(port string, wanted ...Record) {
	h.t.Helper()
	got := h.Output(port)
	for i := range max(len(got), len(wanted)) {
		switch {
		case i >= len(got):
			h.t.Errorf("port %s: record %d is missing: %v", port, i, wanted[i])
		case i >= len(wanted):
			h.t.Errorf("port %s: one too many: %v", port, got[i])
		case !got[i].Equal(wanted[i]):
			h.t.Errorf("port %s: record %d is %v, not %v", port, i, got[i], wanted[i])
		}
	}
}

// DeadLetters takes the events and timers that were refused since last asked.
func (h *Harness) DeadLetters() []DeadLetter {
	taken := h.dead
	h.dead = nil
	return taken
}

// Metric gives a counter's sum or a gauge's value, a histogram's sum. 0 before it was used.
func (h *Harness) Metric(name string) float64 {
	h.t.Helper()
	return h.memory.now.metrics[h.index("metric", name, kinds(h.descriptor.Metrics))]
}

// Log takes the lines logged since last asked.
func (h *Harness) Log() []host.Line { return host.TakeLog() }

// Calls is how often the operator called the host so far.
func (h *Harness) Calls() Calls { return h.memory.calls }

// Timers is how many timers wait.
func (h *Harness) Timers() int { return len(h.memory.now.timers) }

// StateEntries is how many entries a state holds over all keys.
func (h *Harness) StateEntries(name string) (n int) {
	h.t.Helper()
	index := h.index("state", name, kinds(h.descriptor.States))
	for key, entries := range h.memory.now.state {
		if key.state == index {
			n += len(entries)
		}
	}
	return n
}

// Describe gives what `describe` gives the host, as JSON.
func (h *Harness) Describe() string {
	h.t.Helper()
	text, err := h.descriptor.JSON()
	h.must(err)
	return text
}

func (h *Harness) index(what, name string, names []string) uint32 {
	h.t.Helper()
	for i, one := range names {
		if one == name {
			return uint32(i)
		}
	}
	h.t.Fatalf("no %s `%s`; there are: %v", what, name, names)
	return 0
}

func named(list []guest.Named) (names []string) {
	for _, one := range list {
		names = append(names, one.Name)
	}
	return names
}

func kinds(list []guest.Kind) (names []string) {
	for _, one := range list {
		names = append(names, one.Name)
	}
	return names
}
