// The face of the package: what an aggregate implements, and what it is given.

// Package aggregate is for window aggregates in Go: the host keeps windows and accumulators, the aggregate folds, merges and
// finishes. A program uses this package or package tidemill, not both: it is a component of one world.
//
//	type Mean struct{}
//
//	type sums struct{ N, Sum float64 }
//
//	func (Mean) Add(acc *sums, e *aggregate.Event) error { ... }
//	func (Mean) Merge(acc, later *sums) error { ... }
//	func (Mean) Finish(w *aggregate.Window, acc *sums, rows *aggregate.Rows) error { ... }
//
//	func init() { aggregate.Register[sums](&Mean{}) }
//
// Add, Merge and Finish must depend on what they are given and on the configuration alone: the host calls them again after
// a failure, and on another instance. Fields of the struct may be Config, Context and metrics; there is no state besides
// the accumulator.
package aggregate

import (
	"encoding/json"
	"fmt"
	"time"

	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// Aggregator is a window aggregate with accumulators of type A: a new one is A's zero value. It is kept between calls as a
// Value's is: as JSON, unless it has AppendState and ReadState.
type Aggregator[A any] interface {
	// Add folds an event in. An error that refuses the event leaves the accumulator as it was, whatever was done to it.
	Add(accumulator *A, event *Event) error
	// Merge folds in what a later piece of the same window gathered: panes of overlapping windows, sessions that became one.
	Merge(accumulator, later *A) error
	// Finish gives a window's result: any number of rows. A window cannot be refused, so that any error stops the pipeline.
	Finish(window *Window, accumulator *A, rows *Rows) error
}

// Opener is called once per instance, when the fields are ready.
type Opener interface {
	Open() error
}

// Closer is called when the pipeline ends or drains.
type Closer interface {
	Close() error
}

// What the worlds share; package tidemill has the same.
type (
	// Event is one event. Its slices are valid during the call.
	Event = guest.Event
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
	// StateCodec is a type that says itself how it is stored.
	StateCodec = guest.StateCodec
	// Option changes what an aggregate says of itself.
	Option = guest.Option
)

// Name names the aggregate; without it, its type's name does.
func Name(name string) Option { return func(d *guest.Descriptor) { d.Name = name } }

// Version is the aggregate's own.
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

// Infof writes a line to the operator's log.
func Infof(format string, args ...any) { guest.Logf(host.Info, format, args...) }

// Warnf writes a line to the operator's log.
func Warnf(format string, args ...any) { guest.Logf(host.Warn, format, args...) }

// Window is a window of a key that gives a result.
type Window struct {
	// Key is valid during the call.
	Key []byte
	// Start is the first time in it, ms; the least number for a global window.
	Start int64
	// End is the first time after it, ms; the greatest number for a global window.
	End int64
	// Firing is how often it gave results before.
	Firing uint32
}

// Rows is what windows give. The host sets their times; without a key of their own they have the window's.
type Rows struct {
	columns  host.Batch
	windowOf []uint32
	window   uint32
}

// Emit adds a row.
func (r *Rows) Emit(value []byte) { r.EmitKeyed(nil, value) }

// EmitKeyed adds a row with a key of its own; nil = the window's.
func (r *Rows) EmitKeyed(key, value []byte) {
	r.columns.Timestamps = append(r.columns.Timestamps, 0)
	r.columns.Keys.Push(key)
	r.columns.Values.Push(value)
	r.windowOf = append(r.windowOf, r.window)
}

// EmitJSON adds a row, as JSON.
func (r *Rows) EmitJSON(value any) error {
	bytes, err := json.Marshal(value)
	if err != nil {
		return Fatalf("the row cannot be written as JSON: %v", err)
	}
	r.Emit(bytes)
	return nil
}
