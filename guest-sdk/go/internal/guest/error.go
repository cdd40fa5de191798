// What goes wrong, by what the host should do about it.

// Package guest is what the worlds share: the call in progress and its events, errors, metrics, configuration, codecs and
// the declaration of an operator by the fields of its struct.
package guest

import (
	"errors"
	"fmt"
	"runtime/debug"
	"tidemill/internal/host"
)

// Rejected refuses the event in progress.
type Rejected struct{ Reason string }

func (r *Rejected) Error() string { return r.Reason }

// Failed ends the whole call.
type Failed struct {
	// Reason of a fatal failure.
	Reason string
	// Retry has the call made again, after AfterMs if Delayed.
	Retry, Delayed bool
	AfterMs        uint32
}

func (f *Failed) Error() string {
	switch {
	case f.Retry && f.Delayed:
		return fmt.Sprintf("retry after %d ms", f.AfterMs)
	case f.Retry:
		return "retry"
	}
	return "fatal: " + f.Reason
}

// Fatalf stops the pipeline.
func Fatalf(format string, args ...any) error { return &Failed{Reason: fmt.Sprintf(format, args...)} }

// Failure says whether an error ends the call; anything else refuses the event.
func Failure(err error) *Failed {
	var failed *Failed
	if errors.As(err, &failed) {
		return failed
	}
	return nil
}

// NotAnEvent makes of any error one that ends the call: where there is no event to refuse, refusing is fatal.
func NotAnEvent(err error) error {
	if err == nil || Failure(err) != nil {
		return err
	}
	return &Failed{Reason: err.Error()}
}

// Guard runs a call of the host. A panic becomes a fatal failure and its stack a line of the log.
func Guard(c *Call, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			where := ""
			if c.current >= 0 {
				where = fmt.Sprintf(" (at event or timer %d of the call)", c.current)
			}
			host.Log(host.Error, fmt.Sprintf("panic: %v%s\n%s", p, where, debug.Stack()))
			c.drop()
			err = &Failed{Reason: fmt.Sprintf("panic: %v%s; the stack is in the operator's log", p, where)}
		}
	}()
	return call()
}
