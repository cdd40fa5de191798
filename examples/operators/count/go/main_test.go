// The operator under the native harness.

package main

import (
	"testing"

	"tidemill/tidetest"
)

func TestCountsGoOnWhenTheInstanceIsReplaced(t *testing.T) {
	h := tidetest.Open(t, &Count{})
	h.Send(tidetest.Event("a", ""), tidetest.Event("b", ""), tidetest.Event("a", ""))
	h.ReplaceInstance()
	h.Send(tidetest.Event("a", ""))
	h.Expect("counts", tidetest.Event("a", "1"), tidetest.Event("b", "1"), tidetest.Event("a", "2"), tidetest.Event("a", "3"))
}

func TestAnEventWithoutAKeyIsRefused(t *testing.T) {
	h := tidetest.Open(t, &Count{})
	h.Send(tidetest.Record{Value: []byte("x")}, tidetest.Event("a", ""))
	if dead := h.DeadLetters(); len(dead) != 1 || dead[0].Reason != "seen: the event has no key; give the source or the upstream operator one" {
		t.Error(dead)
	}
	h.Expect("counts", tidetest.Event("a", "1"))
}
