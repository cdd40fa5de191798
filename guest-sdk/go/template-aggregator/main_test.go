// The aggregate under the native harness.

package main

import (
	"testing"

	"tidemill/tidetest"
)

func TestAWindowGivesOneResultPerKey(t *testing.T) {
	a := tidetest.OpenAggregate(t, &Longest{}, nil)
	early, late, window := tidetest.Span{Start: 0, End: 5}, tidetest.Span{Start: 5, End: 10}, tidetest.Span{Start: 0, End: 10}
	a.Add(early, tidetest.Event("a", "tide"), tidetest.Event("b", "mill"), tidetest.Event("a", "\xff"))
	a.Add(late, tidetest.Event("a", "flood"))
	a.Merge(window, early, late)
	rows := a.Finish(window)
	wanted := []string{`{"events":2,"longest":5}`, `{"events":1,"longest":4}`}
	if len(rows) != len(wanted) {
		t.Fatal(rows)
	}
	for i, row := range rows {
		if string(row.Value) != wanted[i] || row.Time != 9 {
			t.Error(row)
		}
	}
	if dead := a.DeadLetters(); len(dead) != 1 {
		t.Errorf("what is no text is refused and does not count: %v", dead)
	}
}
