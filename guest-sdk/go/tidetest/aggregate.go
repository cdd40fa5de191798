//go:build !wasip1

// The harness that a test drives a window aggregate by: it keeps the windows, as the host does.

package tidetest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"tidemill"
	"tidemill/aggregate"
	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// Span is when a window is: [Start, End).
type Span struct{ Start, End int64 }

// Aggregate is an aggregate and the accumulators of its windows.
type Aggregate struct {
	t          testing.TB
	open       func() (aggregate.Runner, error)
	runner     aggregate.Runner
	descriptor *guest.Descriptor
	memory     *memory
	windows    map[Span]map[string][]byte
	firings    map[Span]uint32
	dead       []DeadLetter
}

// OpenAggregate opens a window aggregate with this `config`, given as what json.Marshal takes; nil = none.
func OpenAggregate[A any](t testing.TB, aggregator aggregate.Aggregator[A], config any, options ...aggregate.Option) *Aggregate {
	t.Helper()
	host.TakeLog()
	text := []byte("{}")
	var err error
	if config != nil {
		if text, err = json.Marshal(config); err != nil {
			t.Fatal(err)
		}
	}
	descriptor, err := aggregate.DescribeAggregator(aggregator, options...)
	if err != nil {
		t.Fatal(err)
	}
	a := &Aggregate{t: t, descriptor: descriptor, memory: newMemory(t), windows: map[Span]map[string][]byte{}, firings: map[Span]uint32{}}
	a.open = func() (aggregate.Runner, error) {
		return aggregate.OpenAggregator(aggregator, options, string(text), a.memory)
	}
	a.ReplaceInstance()
	return a
}

func (a *Aggregate) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// ReplaceInstance opens the aggregate anew, as the host may do between any two calls.
func (a *Aggregate) ReplaceInstance() {
	a.t.Helper()
	runner, err := a.open()
	a.must(err)
	a.runner = runner
}

// Add makes one call that folds events into a window, each into the accumulator of its key.
func (a *Aggregate) Add(window Span, events ...Record) {
	a.t.Helper()
	a.must(a.TryAdd(window, events...))
}

// TryAdd is Add for tests of calls that fail.
func (a *Aggregate) TryAdd(window Span, events ...Record) error {
	var keys []string
	var groups []uint32
	var given host.OptionalColumns
	for _, event := range events {
		group := slices.Index(keys, string(event.Key))
		if group < 0 {
			group = len(keys)
			keys = append(keys, string(event.Key))
			given.Push(a.windows[window][string(event.Key)])
		}
		groups = append(groups, uint32(group))
	}
	return a.transaction(func() error {
		made, refused, err := a.runner.Accumulate(columnsOf(events), groups, &given)
		if err != nil {
			return err
		}
		for _, r := range refused {
			a.dead = append(a.dead, DeadLetter{events[r.Index], r.Reason})
		}
		for i, key := range keys {
			a.put(window, key, made.Get(i))
		}
		return nil
	})
}

func (a *Aggregate) put(window Span, key string, accumulator []byte) {
	if a.windows[window] == nil {
		a.windows[window] = map[string][]byte{}
	}
	a.windows[window][key] = append([]byte{}, accumulator...)
}

func (a *Aggregate) transaction(call func() error) error {
	a.memory.begin(tidemill.NoWatermark, nil)
	err := call()
	if err != nil {
		a.memory.rollBack()
	}
	return err
}

// Merge makes pieces one window, key by key; in time order.
func (a *Aggregate) Merge(into Span, pieces ...Span) {
	a.t.Helper()
	all := map[string]bool{}
	for _, piece := range pieces {
		for key := range a.windows[piece] {
			all[key] = true
		}
	}
	keys := slices.Sorted(maps.Keys(all))
	var groups []uint32
	var accumulators host.Columns
	for group, key := range keys {
		for _, piece := range pieces {
			if accumulator, there := a.windows[piece][key]; there {
				groups = append(groups, uint32(group))
				accumulators.Push(accumulator)
			}
		}
	}
	a.must(a.transaction(func() error {
		merged, err := a.runner.Merge(groups, &accumulators)
		if err == nil {
			for _, piece := range pieces {
				delete(a.windows, piece)
			}
			for i, key := range keys {
				a.put(into, key, merged.Get(i))
			}
		}
		return err
	}))
}

// Finish has a window give its rows, in order of the keys; a row without a key has its window's, and its time is the last
// in the window. What it is made of stays.
func (a *Aggregate) Finish(window Span) (rows []Record) {
	a.t.Helper()
	var keys, accumulators host.Columns
	var windows []host.Window
	for _, key := range slices.Sorted(maps.Keys(a.windows[window])) {
		keys.Push([]byte(key))
		windows = append(windows, host.Window{Start: window.Start, End: window.End, Firing: a.firings[window]})
		accumulators.Push(a.windows[window][key])
	}
	a.must(a.transaction(func() error {
		made, windowOf, err := a.runner.Finish(&keys, windows, &accumulators)
		if err != nil {
			return err
		}
		for i, row := range recordsOf(made) {
			if row.Key == nil {
				row.Key = bytes.Clone(keys.Get(int(windowOf[i])))
			}
			rows = append(rows, row.At(window.End-1))
		}
		a.firings[window]++
		return nil
	}))
	return rows
}

// Close ends the aggregate.
func (a *Aggregate) Close() {
	a.t.Helper()
	a.must(a.transaction(a.runner.Close))
}

// DeadLetters takes the events that were refused since last asked.
func (a *Aggregate) DeadLetters() []DeadLetter {
	taken := a.dead
	a.dead = nil
	return taken
}

// Metric gives a counter's sum or a gauge's value, a histogram's sum. 0 before it was used.
func (a *Aggregate) Metric(name string) float64 {
	a.t.Helper()
	for i, metric := range a.descriptor.Metrics {
		if metric.Name == name {
			return a.memory.now.metrics[uint32(i)]
		}
	}
	a.t.Fatalf("no metric `%s`", name)
	return 0
}
