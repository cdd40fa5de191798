// The operator under the native harness.

package main

import (
	"testing"

	"tidemill/tidetest"
)

func TestOnlyALongerValueOfTheSameKeyComesOut(t *testing.T) {
	h := tidetest.Open(t, &Longest{})
	h.Send(tidetest.Event("a", "tide"), tidetest.Event("b", "mill"), tidetest.Event("a", "sea"), tidetest.Event("a", "flood"))
	h.Expect("lines", tidetest.Event("a", "tide"), tidetest.Event("b", "mill"), tidetest.Event("a", "flood"))
}

func TestBytesThatAreNoTextAreRefused(t *testing.T) {
	h := tidetest.Open(t, &Longest{})
	h.Send(tidetest.Event("a", "\xff"))
	if dead := h.DeadLetters(); len(dead) != 1 {
		t.Errorf("%v", dead)
	}
}
