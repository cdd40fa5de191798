// The operator under the native harness: gaps, order, late events.

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tidemill/tidetest"
)

const minute = 60_000

func at(minutes ...int64) (events []tidetest.Record) {
	for _, m := range minutes {
		events = append(events, tidetest.Event("k", "x").At(m*minute))
	}
	return events
}

// results gives start-end:count in minutes.
func results(t *testing.T, h *tidetest.Harness) string {
	var out []string
	for _, r := range h.Output("sessions") {
		var s Session
		if err := json.Unmarshal(r.Value, &s); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d-%d:%d", s.Start/minute, s.End/minute, s.Count))
	}
	return strings.Join(out, " ")
}

func open(t *testing.T) *tidetest.Harness {
	return tidetest.OpenWith(t, &Sessions{}, map[string]any{"gap_minutes": 10})
}

func TestAGapEndsASessionAndOneMsLessDoesNot(t *testing.T) {
	h := open(t)
	h.Send(at(0, 5, 15)...)
	h.Send(tidetest.Event("k", "x").At(25*minute - 1))
	h.Watermark(25 * minute)
	if got := results(t, h); got != "0-5:2" {
		t.Error(got)
	}
	h.Watermark(35*minute - 2)
	if got := results(t, h); got != "15-24:2" || h.StateEntries("open") != 0 || h.Timers() != 0 {
		t.Error(got, h.StateEntries("open"), h.Timers())
	}
}

func TestSessionsGrowTogetherInWhateverOrderTheEventsCome(t *testing.T) {
	for _, order := range [][]int64{{0, 8, 16, 40}, {16, 40, 0, 8}, {40, 16, 8, 0}} {
		h := open(t)
		for _, m := range order {
			h.Send(at(m)...)
			h.ReplaceInstance()
		}
		if h.Timers() != 2 {
			t.Errorf("%d timers, not one for each open session", h.Timers())
		}
		h.End()
		if got := results(t, h); got != "0-16:3 40-40:1" {
			t.Error(order, got)
		}
	}
}

func TestLateIsWhatNoOpenSessionCouldHold(t *testing.T) {
	h := open(t)
	h.Send(at(20)...)
	h.Watermark(25 * minute)
	h.Send(at(12, 1)...)
	h.End()
	if got, dead := results(t, h), h.DeadLetters(); got != "12-20:2" || len(dead) != 1 || !strings.HasPrefix(dead[0].Reason, "late: ") {
		t.Error(got, dead)
	}
}
