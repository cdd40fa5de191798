// The face of the package: what is registered, what an operator implements and returns.

// Package tidemill is for operators in Go: a struct whose fields are states, ports and timers, and methods that the host
// calls.
//
//	type Count struct {
//		seen   tidemill.Value[uint64]
//		counts tidemill.Output
//	}
//
//	func (c *Count) ProcessEvent(e *tidemill.Event) error {
//		n, err := c.seen.Update(func(n uint64) uint64 { return n + 1 })
//		if err != nil {
//			return err
//		}
//		return c.counts.Emit(e.Key, strconv.AppendUint(nil, n, 10))
//	}
//
//	func init() { tidemill.Register(&Count{}) }
//
//	func main() {}
//
// Each call of the host is a transaction, and within it each event is one: an error refuses the event (Reject, or any other
// that is not Retry or Fatal), what it did to states, ports, timers and metrics is undone, it goes to the dead letters, and
// the next event follows. A panic ends the call as Fatal does; its stack is in the log.
//
// Slices that the host hands over (an event's key and value, a timer's key) are valid during the call. Fields that are no
// handles are memory of this instance only, and instances may be replaced at any time: what must last goes into state.
// There is one thread, no network, file, clock or randomness; goroutines run only during a call and must end within it.
package tidemill

import (
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// EventOperator handles events one by one.
type EventOperator interface {
	ProcessEvent(event *Event) error
}

// BatchOperator handles the events of a call at once; Batch.Each goes through them one by one.
type BatchOperator interface {
	Process(batch *Batch) error
}

// Opener is called once per instance, when the fields are ready.
type Opener interface {
	Open() error
}

// TimerOperator handles timers. The timer's key is the current key.
type TimerOperator interface {
	OnTimer(timer *Timer) error
}

// WatermarkOperator is told of the watermark. There is no current key.
type WatermarkOperator interface {
	OnWatermark(watermark int64) error
}

// Closer is called when the pipeline ends or drains. There is no current key.
type Closer interface {
	Close() error
}

// What the worlds share.
type (
	// Event is one event. Its slices are valid during the call.
	Event = guest.Event
	// Header is one header of an event.
	Header = guest.Header
	// Counter is a metric that only grows.
	Counter = guest.Counter
	// Gauge is a metric: the last value set.
	Gauge = guest.Gauge
	// Histogram is a metric: a distribution of values.
	Histogram = guest.Histogram
	// Config is the `config` table of the pipeline file as a C.
	Config[C any] = guest.Config[C]
	// Context says where and when a call runs.
	Context = guest.Context
	// Subtask is one of the parallel copies of an operator.
	Subtask = host.Subtask
	// StateCodec is a type that says itself how it is stored.
	StateCodec = guest.StateCodec
	// SubKeyCodec is a type that says itself how it is a sub-key of a map.
	SubKeyCodec = guest.SubKeyCodec
	// Option changes what an operator says of itself.
	Option = guest.Option
)

// Times that stand for something else; real times lie within +-TimeLimit. All in ms.
const (
	NoWatermark = host.NoWatermark
	EndOfInput  = host.EndOfInput
	TimeLimit   = host.TimeLimit
)

// Name names the operator; without it, its type's name does.
func Name(name string) Option { return func(d *guest.Descriptor) { d.Name = name } }

// Version is the operator's own.
func Version(version string) Option { return func(d *guest.Descriptor) { d.Version = version } }

// ConfigSchema is the JSON Schema of the configuration, for tools.
func ConfigSchema(schema string) Option {
	return func(d *guest.Descriptor) { d.Config = json.RawMessage(schema) }
}

// Reject refuses the event in progress. Any other error that is not Retry or Fatal does the same.
func Reject(reason string) error { return &guest.Rejected{Reason: reason} }

// Rejectf refuses the event in progress.
func Rejectf(format string, args ...any) error { return Reject(fmt.Sprintf(format, args...)) }

// Fatal stops the pipeline and keeps everything.
func Fatal(reason string) error { return &guest.Failed{Reason: reason} }

// Fatalf stops the pipeline and keeps everything.
func Fatalf(format string, args ...any) error { return guest.Fatalf(format, args...) }

// Retry drops the whole call and has it made again, when the host sees fit.
func Retry() error { return &guest.Failed{Retry: true} }

// RetryAfter drops the whole call and has it made again after this long.
func RetryAfter(d time.Duration) error {
	ms := min(max(d.Milliseconds(), 0), 1<<32-1)
	return &guest.Failed{Retry: true, Delayed: true, AfterMs: uint32(ms)}
}

// Tracef writes a line to the operator's log.
func Tracef(format string, args ...any) { guest.Logf(host.Trace, format, args...) }

// Debugf writes a line to the operator's log.
func Debugf(format string, args ...any) { guest.Logf(host.Debug, format, args...) }

// Infof writes a line to the operator's log.
func Infof(format string, args ...any) { guest.Logf(host.Info, format, args...) }

// Warnf writes a line to the operator's log.
func Warnf(format string, args ...any) { guest.Logf(host.Warn, format, args...) }

// Errorf writes a line to the operator's log.
func Errorf(format string, args ...any) { guest.Logf(host.Error, format, args...) }

// Batch is the events of one call.
type Batch struct {
	call      *guest.Call
	columns   *host.Batch
	refused   []guest.Rejection
	input     uint32
	watermark int64
}

// Len is how many events there are.
func (b *Batch) Len() int { return b.columns.Len() }

// Input is the index of the input that they came from.
func (b *Batch) Input() uint32 { return b.input }

// Watermark is the operator's before this batch, ms.
func (b *Batch) Watermark() int64 { return b.watermark }

// All walks the events without making each a transaction: no current key, no time to emit at. For operators that only
// look at them; the others use Each.
func (b *Batch) All() iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		reader := guest.NewReader(b.columns, b.input, b.watermark)
		for i := range b.columns.Len() {
			if !yield(reader.Read(i)) {
				return
			}
		}
	}
}

// Each hands the events to handle one by one, each a transaction of its own: one that is refused leaves nothing behind and
// goes to the dead letters; an error that ends the call is given back, to be returned from Process.
func (b *Batch) Each(handle func(*Event) error) error {
	refused, err := guest.Each(b.call, b.columns, b.input, b.watermark, handle)
	b.refused = append(b.refused, refused...)
	return err
}

// Input is a named input, in the order of the fields. Without any there is one, `events`.
type Input struct {
	index uint32
}

// Is says whether an event came from it.
func (i *Input) Is(e *Event) bool { return e.Input == i.index }

// TidemillField declares and opens it.
func (i *Input) TidemillField(name string, d *guest.Descriptor, _ *guest.Opening) error {
	i.index = guest.Next(&d.Inputs, name)
	return nil
}
