// Time to live under the native harness: entries age on both clocks as under the real host.

package tidetest_test

import (
	"fmt"
	"strings"
	"testing"

	"tidemill"
	"tidemill/tidetest"
)

// aging notes the event's value in each state, and emits what it finds.
type aging struct {
	brief  tidemill.Value[int]       `ttl:"100ms"`
	fresh  tidemill.Map[string, int] `ttl:"100ms" clock:"event" refresh:"read-and-write"`
	recent tidemill.List[string]     `ttl:"100ms" clock:"event"`
	kept   tidemill.Value[int]
	out    tidemill.Output
}

func (a *aging) ProcessEvent(e *tidemill.Event) error {
	text := string(e.Value)
	if rest, read := strings.CutPrefix(text, "read "); read {
		_, there, err := a.fresh.Get(rest)
		if err != nil {
			return err
		}
		return a.out.Emit(e.Key, fmt.Appendf(nil, "%v", there))
	}
	more := func(n int) int { return n + 1 }
	if _, err := a.kept.Update(more); err != nil {
		return err
	}
	if err := a.fresh.Put(text, 1); err != nil {
		return err
	}
	if err := a.recent.Push(text); err != nil {
		return err
	}
	brief, err := a.brief.Update(more)
	if err != nil {
		return err
	}
	recent, err := a.recent.Get()
	if err != nil {
		return err
	}
	return a.out.Emit(e.Key, fmt.Appendf(nil, "%d %s", brief, strings.Join(recent, ",")))
}

func TestEntriesAgeOnTheClockAndInEventTime(t *testing.T) {
	h := tidetest.Open(t, &aging{})
	ask := func(text string, time int64, wanted string) {
		t.Helper()
		h.Send(tidetest.Event("k", text).At(time))
		if got := h.Output("out"); len(got) != 1 || string(got[0].Value) != wanted {
			t.Errorf("%s: %v instead of %s", text, got, wanted)
		}
	}
	entries := func(wanted int, states ...string) {
		t.Helper()
		for _, state := range states {
			if got := h.StateEntries(state); got != wanted {
				t.Errorf("%d entries in %s", got, state)
			}
		}
	}
	h.Clock(1000)
	ask("a", 5000, "1 a")
	h.Clock(1099)
	h.ReplaceInstance()
	ask("b", 5050, "2 a,b") // a millisecond before it is over
	h.Clock(1199)
	entries(0, "brief") // 100 ms after it was written last
	h.Watermark(5099)
	ask("read a", 0, "true") // a read counts from the watermark
	h.Watermark(5150)
	ask("read b", 0, "false") // nobody read it
	ask("read a", 0, "true")
	ask("c", 5160, "1 c")
	h.Watermark(6000)
	entries(0, "fresh", "recent") // what is over is freed
	entries(1, "kept")            // what has no time to live stays
	if timers := h.Timers(); timers != 0 {
		t.Errorf("the operator sees no timer of it: %d", timers)
	}
}
