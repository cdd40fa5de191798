// Window aggregates: what a refused event leaves, merging, finishing, and what goes wrong.

package tidetest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tidemill/aggregate"
	"tidemill/tidetest"
)

// words counts words; its accumulator holds a map, which a refused event may leave half changed.
type words struct {
	settings aggregate.Config[struct{ Stop string }]
	taken    aggregate.Counter
}

type counts struct {
	By    map[string]int
	Order []string
}

func (w *words) Add(acc *counts, e *aggregate.Event) error {
	for _, word := range strings.Fields(string(e.Value)) {
		w.taken.Add(1)
		if acc.By == nil {
			acc.By = map[string]int{}
		}
		acc.By[word]++
		acc.Order = append(acc.Order, word)
		switch word {
		case w.settings.Get().Stop:
			return aggregate.Rejectf("%s after %d", word, len(acc.Order))
		case "panic":
			panic("told to")
		}
	}
	return nil
}

func (w *words) Merge(acc, later *counts) error {
	for word, n := range later.By {
		acc.By[word] += n
	}
	acc.Order = append(acc.Order, later.Order...)
	return nil
}

func (w *words) Finish(window *aggregate.Window, acc *counts, rows *aggregate.Rows) error {
	for i, word := range acc.Order {
		if slices.Index(acc.Order, word) == i {
			rows.EmitKeyed([]byte(word), fmt.Appendf(nil, "%s %d %d", window.Key, window.Firing, acc.By[word]))
		}
	}
	return rows.EmitJSON(acc.Order)
}

func texts(records []tidetest.Record) (out []string) {
	for _, r := range records {
		out = append(out, r.String())
	}
	return out
}

func TestARefusedEventLeavesItsAccumulatorAsItWas(t *testing.T) {
	a := tidetest.OpenAggregate(t, &words{}, map[string]any{"Stop": "stop"})
	first := tidetest.Span{Start: 0, End: 10}
	a.Add(first, tidetest.Event("j", "x"), tidetest.Event("k", "stop"))
	a.ReplaceInstance()
	a.Add(first, one("k", "a b", "a stop", "b", "c stop", "stop", "a")...)
	wanted := []string{`9 ms "j"="[\"x\"]"`, `9 ms "a"="k 0 2"`, `9 ms "b"="k 0 2"`, `9 ms "k"="[\"a\",\"b\",\"b\",\"a\"]"`}
	if got := texts(a.Finish(first)); !slices.Equal(got[1:], wanted) {
		t.Errorf("%q", got)
	}
	var reasons []string
	for _, letter := range a.DeadLetters() {
		reasons = append(reasons, letter.Reason)
	}
	if !slices.Equal(reasons, []string{"stop after 1", "stop after 4", "stop after 5", "stop after 4"}) {
		t.Errorf("%q", reasons)
	}
	if n := a.Metric("taken"); n != 5 {
		t.Errorf("%v words taken", n)
	}
}

func TestPiecesBecomeOneWindowInTimeOrder(t *testing.T) {
	a := tidetest.OpenAggregate(t, &words{}, nil)
	early, late, whole := tidetest.Span{Start: 0, End: 5}, tidetest.Span{Start: 5, End: 10}, tidetest.Span{Start: 0, End: 10}
	a.Add(late, tidetest.Event("k", "b a"))
	a.Add(early, tidetest.Event("k", "a"), tidetest.Event("j", "z"))
	a.Merge(whole, early, late)
	a.Finish(whole)
	wanted := []string{`9 ms "z"="j 1 1"`, `9 ms "j"="[\"z\"]"`, `9 ms "a"="k 1 2"`, `9 ms "b"="k 1 1"`, `9 ms "k"="[\"a\",\"b\",\"a\"]"`}
	if got := texts(a.Finish(whole)); !slices.Equal(got, wanted) {
		t.Errorf("%q", got)
	}
	a.Close()
}

func TestAPanicDropsTheCallAndTheInstanceLives(t *testing.T) {
	a := tidetest.OpenAggregate(t, &words{}, nil)
	window := tidetest.Span{Start: 0, End: 1}
	err := a.TryAdd(window, one("k", "a", "b panic")...)
	if err == nil || !strings.Contains(err.Error(), "panic: told to (at event or timer 1 of the call)") {
		t.Errorf("%v", err)
	}
	a.Add(window, one("k", "c")...)
	if got := texts(a.Finish(window)); len(got) != 2 || a.Metric("taken") != 1 {
		t.Errorf("%q, %v taken", got, a.Metric("taken"))
	}
}
