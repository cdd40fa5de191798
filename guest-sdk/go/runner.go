// Drives an operator: takes the host's calls, begins and ends the call, hands events over. The component's exports
// (exports.go) and the test harness (package tidetest) each own one runner per instance.

package tidemill

import (
	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// Runner is an opened operator. For the component's exports and the test harness; operators do not see it.
type Runner struct {
	call       *guest.Call
	operator   any
	descriptor *guest.Descriptor
	batch      Batch
	timers     host.Batch
}

// DescribeOperator says what an operator is. For the component's exports and the test harness.
func DescribeOperator(operator any, options ...Option) (*guest.Descriptor, error) {
	_, event := operator.(EventOperator)
	_, batch := operator.(BatchOperator)
	if !event && !batch {
		return nil, Fatalf("%T implements neither ProcessEvent(*tidemill.Event) error nor Process(*tidemill.Batch) error", operator)
	}
	d, err := guest.Declare(operator, options, nil)
	if err != nil {
		return nil, err
	}
	_, d.Wants.Watermarks = operator.(WatermarkOperator)
	if _, ok := operator.(TimerOperator); len(d.Timers) > 0 && !ok {
		return nil, Fatalf("%T has the timer `%s`, but no OnTimer(*tidemill.Timer) error", operator, d.Timers[0].Name)
	}
	return d, nil
}

// OpenOperator opens an operator over a host. For the component's exports and the test harness.
func OpenOperator(operator any, options []Option, config string, h host.Host) (*Runner, error) {
	r := &Runner{call: guest.NewCall(h), operator: operator}
	err := guest.Guard(r.call, func() (err error) {
		if _, err = DescribeOperator(operator, options...); err != nil {
			return err
		}
		if r.descriptor, err = guest.Declare(operator, options, &guest.Opening{Call: r.call, Config: config}); err != nil {
			return err
		}
		opener, ok := operator.(Opener)
		if !ok {
			return nil
		}
		r.call.Begin(&host.Batch{})
		return r.call.End(guest.NotAnEvent(opener.Open()))
	})
	return r, guest.NotAnEvent(err)
}

// Process is the export of this name.
func (r *Runner) Process(input uint32, watermark int64, events *host.Batch) (refused []guest.Rejection, err error) {
	err = guest.Guard(r.call, func() (err error) {
		r.call.Begin(events)
		if batches, ok := r.operator.(BatchOperator); ok {
			r.batch = Batch{call: r.call, columns: events, input: input, watermark: watermark, refused: refused}
			err = guest.NotAnEvent(batches.Process(&r.batch))
			refused = r.batch.refused
		} else {
			refused, err = guest.Each(r.call, events, input, watermark, r.operator.(EventOperator).ProcessEvent)
		}
		return r.call.End(err)
	})
	return refused, err
}

// OnTimers is the export of this name.
func (r *Runner) OnTimers(timer uint32, keys *host.Columns, times []int64, watermark int64) (refused []guest.Rejection, err error) {
	operator, ok := r.operator.(TimerOperator)
	if !ok || int(timer) >= len(r.descriptor.Timers) {
		return nil, Fatalf("the host fired timer %d, which was never declared", timer)
	}
	name := r.descriptor.Timers[timer].Name
	err = guest.Guard(r.call, func() error {
		r.timers = host.Batch{Timestamps: times, Keys: host.OptionalColumns{Data: keys.Data, Ends: keys.Ends}}
		r.call.Begin(&r.timers)
		var fired Timer
		for i, time := range times {
			fired = Timer{Key: keys.Get(i), Time: time, Watermark: watermark, Name: name}
			r.call.StartEvent(i)
			reason, no, err := r.call.EndEvent(operator.OnTimer(&fired))
			if err != nil {
				return r.call.End(err)
			}
			if no {
				refused = append(refused, guest.Rejection{Index: uint32(i), Reason: reason})
			}
		}
		return r.call.End(nil)
	})
	return refused, err
}

// OnWatermark is the export of this name.
func (r *Runner) OnWatermark(watermark int64) error {
	operator, ok := r.operator.(WatermarkOperator)
	if !ok {
		return nil
	}
	return r.outside(func() error { return operator.OnWatermark(watermark) })
}

// Close is the export of this name.
func (r *Runner) Close() error {
	operator, ok := r.operator.(Closer)
	if !ok {
		return nil
	}
	return r.outside(operator.Close)
}

func (r *Runner) outside(act func() error) error {
	return guest.Guard(r.call, func() error {
		r.call.Begin(&host.Batch{})
		return r.call.End(guest.NotAnEvent(act()))
	})
}
