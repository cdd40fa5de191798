// The operator under the native harness.

package main

import (
	"testing"

	"tidemill/tidetest"
)

func TestWordsAreKeysInLowerCaseWithoutPunctuation(t *testing.T) {
	h := tidetest.Open(t, &SplitWords{})
	h.Send(tidetest.Record{Value: []byte("'Tis the tide, THE tide's turn!"), Time: 3}, tidetest.Record{Value: []byte{0xff}})
	var wanted []tidetest.Record
	for _, word := range []string{"tis", "the", "tide", "the", "tide's", "turn"} {
		wanted = append(wanted, tidetest.Event(word, "").At(3))
	}
	h.Expect("words", wanted...)
	if dead := h.DeadLetters(); len(dead) != 1 || dead[0].Reason != "the value is not UTF-8 text" {
		t.Error(dead)
	}
}
