// Drives a window aggregate: takes the host's calls, decodes accumulators, folds events one by one, encodes what came of
// them. The component's exports (exports.go) and the test harness each own one runner per instance.

package aggregate

import (
	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// Runner is an opened aggregate without its type. For the component's exports and the test harness.
type Runner interface {
	Accumulate(events *host.Batch, groups []uint32, accumulators *host.OptionalColumns) (*host.Columns, []guest.Rejection, error)
	Merge(groups []uint32, accumulators *host.Columns) (*host.Columns, error)
	Finish(keys *host.Columns, windows []host.Window, accumulators *host.Columns) (rows *host.Batch, windowOf []uint32, err error)
	Close() error
}

type runner[A any] struct {
	aggregator Aggregator[A]
	call       *guest.Call
	codec      guest.Codec[A]
	folds      []fold[A]
	out        host.Columns
	rows       Rows
}

// foldsKept is for how many accumulators a runner keeps memory between calls.
const foldsKept = 1 << 14

// fold is an accumulator of the call.
type fold[A any] struct {
	now A
	// point is the accumulator's bytes as they were before the events of `since`, which it took: what to go back to when
	// it refuses one.
	point []byte
	since []int
}

// DescribeAggregator says what an aggregate is. For the component's exports and the test harness.
func DescribeAggregator(aggregator any, options ...Option) (*guest.Descriptor, error) {
	d, err := guest.Declare(aggregator, options, nil)
	if err == nil && (len(d.States) > 0 || len(d.Timers) > 0 || len(d.Outputs) > 0 || len(d.Inputs) > 1) {
		err = Fatalf("a window aggregate has metrics, Config and Context; it has no state, timers, inputs or outputs")
	}
	return d, err
}

// OpenAggregator opens an aggregate over a host. For the component's exports and the test harness.
func OpenAggregator[A any](aggregator Aggregator[A], options []Option, config string, h host.Host) (Runner, error) {
	r := &runner[A]{aggregator: aggregator, call: guest.NewCall(h), codec: guest.CodecOf[A]()}
	err := r.transaction(&host.Batch{}, func() error {
		if _, err := guest.Declare(aggregator, options, &guest.Opening{Call: r.call, Config: config}); err != nil {
			return err
		}
		if opener, ok := aggregator.(Opener); ok {
			return opener.Open()
		}
		return nil
	})
	return r, err
}

// transaction makes a call: its metrics are kept together or dropped together. Outside events, refusing is fatal.
func (r *runner[A]) transaction(events *host.Batch, act func() error) error {
	return guest.Guard(r.call, func() error {
		r.call.Begin(events)
		return r.call.End(guest.NotAnEvent(act()))
	})
}

func (r *runner[A]) read(bytes []byte, into *A) error {
	*into = *new(A)
	if bytes == nil {
		return nil
	}
	if err := r.codec.Read(bytes, into); err != nil {
		return Fatalf("an accumulator does not decode (%v): its type has changed since it was stored. Undo the change, or give the "+
			"operator another name to start empty", err)
	}
	return nil
}

func (r *runner[A]) write(accumulator *A) error {
	data, err := r.codec.Append(r.out.Data, accumulator)
	if err != nil {
		return Fatalf("an accumulator cannot be written: %v", err)
	}
	r.out.Data = data
	r.out.Ends = append(r.out.Ends, uint32(len(data)))
	return nil
}

// Accumulate is the export of this name.
func (r *runner[A]) Accumulate(events *host.Batch, groups []uint32, given *host.OptionalColumns) (*host.Columns, []guest.Rejection, error) {
	if len(groups) != events.Len() {
		return nil, nil, Fatalf("the host gave %d events %d groups", events.Len(), len(groups))
	}
	var refused []guest.Rejection
	err := r.transaction(events, func() error {
		for len(r.folds) < given.Len() {
			r.folds = append(r.folds, fold[A]{})
		}
		for i := range given.Len() {
			r.folds[i].point, r.folds[i].since = given.Get(i), r.folds[i].since[:0]
			if err := r.read(r.folds[i].point, &r.folds[i].now); err != nil {
				return err
			}
		}
		reader := guest.NewReader(events, 0, host.NoWatermark)
		for i, group := range groups {
			if int(group) >= given.Len() {
				return Fatalf("the host gave event %d a group that is not there", i)
			}
			fold := &r.folds[group]
			r.call.StartEvent(i)
			reason, no, err := r.call.EndEvent(r.aggregator.Add(&fold.now, reader.Read(i)))
			if err == nil && no {
				refused = append(refused, guest.Rejection{Index: uint32(i), Reason: reason})
				err = r.goBack(fold, &reader)
			} else {
				fold.since = append(fold.since, i)
			}
			if err != nil {
				return err
			}
		}
		r.out.Clear()
		for i := range given.Len() {
			if err := r.write(&r.folds[i].now); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range min(given.Len(), len(r.folds)) {
		r.folds[i].now, r.folds[i].point = *new(A), nil
	}
	if len(r.folds) > foldsKept {
		r.folds = nil
	}
	return &r.out, refused, err
}

// goBack makes an accumulator what it was before the event that it refused, and that the point to go back to next time,
// so that no event is folded in more than twice.
func (r *runner[A]) goBack(fold *fold[A], reader *guest.Reader) error {
	if err := r.read(fold.point, &fold.now); err != nil {
		return err
	}
	for _, i := range fold.since {
		r.call.StartEvent(i)
		err := r.aggregator.Add(&fold.now, reader.Read(i))
		r.call.Forget()
		if failed := guest.Failure(err); failed != nil {
			return failed
		}
		if err != nil {
			return Fatalf("Add refused an event that it took before (%v): it must depend on the accumulator and the event alone", err)
		}
	}
	if len(fold.since) > 0 {
		point, err := r.codec.Append([]byte{}, &fold.now)
		if err != nil {
			return Fatalf("an accumulator cannot be written: %v", err)
		}
		fold.point, fold.since = point, fold.since[:0]
	}
	return nil
}

// Merge is the export of this name.
func (r *runner[A]) Merge(groups []uint32, accumulators *host.Columns) (*host.Columns, error) {
	if len(groups) != accumulators.Len() {
		return nil, Fatalf("the host gave %d accumulators %d groups", accumulators.Len(), len(groups))
	}
	err := r.transaction(&host.Batch{}, func() error {
		var merged []*A
		for i, group := range groups {
			next := new(A)
			if err := r.read(accumulators.Get(i), next); err != nil {
				return err
			}
			switch {
			case int(group) == len(merged):
				merged = append(merged, next)
			case int(group) > len(merged):
				return Fatalf("the host left out group %d", len(merged))
			default:
				if err := r.aggregator.Merge(merged[group], next); err != nil {
					return err
				}
			}
		}
		r.out.Clear()
		for _, accumulator := range merged {
			if err := r.write(accumulator); err != nil {
				return err
			}
		}
		return nil
	})
	return &r.out, err
}

// Finish is the export of this name.
func (r *runner[A]) Finish(keys *host.Columns, windows []host.Window, accumulators *host.Columns) (*host.Batch, []uint32, error) {
	err := r.transaction(&host.Batch{}, func() error {
		r.rows.columns.Clear()
		r.rows.windowOf = r.rows.windowOf[:0]
		for i, bounds := range windows {
			var accumulator A
			if err := r.read(accumulators.Get(i), &accumulator); err != nil {
				return err
			}
			window := Window{Key: keys.Get(i), Start: bounds.Start, End: bounds.End, Firing: bounds.Firing}
			r.rows.window = uint32(i)
			if err := r.aggregator.Finish(&window, &accumulator, &r.rows); err != nil {
				return err
			}
		}
		return nil
	})
	return &r.rows.columns, r.rows.windowOf, err
}

// Close is the export of this name.
func (r *runner[A]) Close() error {
	closer, ok := r.aggregator.(Closer)
	if !ok {
		return nil
	}
	return r.transaction(&host.Batch{}, closer.Close)
}
