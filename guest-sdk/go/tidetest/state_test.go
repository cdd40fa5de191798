// State, timers and ports through the harness: what a call reads and writes, and what a refused event leaves behind.

package tidetest_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tidemill"
	"tidemill/tidetest"
)

// script runs the words of a value as commands on every kind of state; "!" refuses the event after what it did.
type script struct {
	number tidemill.Value[uint64]
	bag    tidemill.Map[int64, string]
	list   tidemill.List[string]
	due    tidemill.EventTimer
	later  tidemill.ProcessingTimer
	done   tidemill.Counter
	level  tidemill.Gauge
	sizes  tidemill.Histogram
	out    tidemill.Output
	where  tidemill.Context
}

func (s *script) ProcessEvent(e *tidemill.Event) error {
	s.done.Add(1)
	line, err := e.Text()
	if err != nil {
		return err
	}
	say := func(what string) error { return s.out.Emit(e.Key, []byte(what)) }
	for _, word := range strings.Fields(line) {
		name, arg, _ := strings.Cut(word, ":")
		n, _ := strconv.ParseInt(arg, 10, 64)
		switch name {
		case "add":
			_, err = s.number.Update(func(old uint64) uint64 { return old + uint64(n) })
		case "number":
			value, there, e := s.number.Get()
			err = errors.Join(e, say(fmt.Sprintf("%v %v", value, there)))
		case "forget":
			err = s.number.Clear()
		case "put":
			err = s.bag.Put(n, "v"+arg)
		case "get":
			value, there, e := s.bag.Get(n)
			err = errors.Join(e, say(fmt.Sprintf("%v %v", value, there)))
		case "drop":
			err = s.bag.Delete(n)
		case "empty":
			err = s.bag.Clear()
		case "entries":
			entries, e := s.bag.Entries()
			err = errors.Join(e, say(fmt.Sprint(entries)))
		case "from":
			entries, e := s.bag.Range(n, n+10)
			err = errors.Join(e, say(fmt.Sprint(entries)))
		case "first":
			entries, e := s.bag.First(int(n))
			err = errors.Join(e, say(fmt.Sprint(entries)))
		case "push":
			err = s.list.Push(arg)
		case "list":
			values, e := s.list.Get()
			err = errors.Join(e, say(fmt.Sprint(values)))
		case "clear":
			err = s.list.Clear()
		case "timer":
			err = s.due.Register(n)
		case "cancel":
			err = s.due.Cancel(n)
		case "in":
			_, err = s.later.RegisterIn(n)
		case "level":
			s.level.Set(float64(n))
			s.sizes.Observe(float64(n))
		case "header":
			err = s.out.EmitWithHeaders(e.Timestamp, nil, nil, tidemill.Header{Name: "a", Value: []byte(arg)})
		case "forward":
			err = s.out.Forward(e)
		case "retry":
			return tidemill.RetryAfter(time.Duration(n) * time.Millisecond)
		case "fatal":
			return fmt.Errorf("wrapped: %w", tidemill.Fatal("broken"))
		case "panic":
			var none []int
			_ = none[n]
		case "!":
			return tidemill.Reject("refused")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *script) OnTimer(t *tidemill.Timer) error {
	if s.due.Is(t) && t.Time == 13 {
		return tidemill.Reject("unlucky")
	}
	return s.out.Emit(t.Key, []byte(t.Name))
}

func values(records []tidetest.Record) (out []string) {
	for _, r := range records {
		out = append(out, string(r.Value))
	}
	return out
}

// says sends one call and compares what came out of it.
func says(t *testing.T, h *tidetest.Harness, events []tidetest.Record, wanted ...string) {
	t.Helper()
	h.Send(events...)
	if got := values(h.Output("out")); !slices.Equal(got, wanted) {
		t.Errorf("got %q, wanted %q", got, wanted)
	}
}

func one(key string, lines ...string) (events []tidetest.Record) {
	for _, line := range lines {
		events = append(events, tidetest.Event(key, line))
	}
	return events
}

func TestValuesAreReadAndWrittenOncePerCall(t *testing.T) {
	h := tidetest.Open(t, &script{})
	var events []tidetest.Record
	for i := range 1000 {
		events = append(events, tidetest.Event(fmt.Sprint(i%10), "add:1"))
	}
	h.Send(append(events, tidetest.Event("7", "number"), tidetest.Event("fresh", "number"))...)
	h.Expect("out", tidetest.Event("7", "100 true"), tidetest.Event("fresh", "0 false"))
	if calls := h.Calls(); calls.Get != 1 || calls.Put != 1 || calls.Emit != 1 {
		t.Errorf("%+v", calls)
	}
	h.ReplaceInstance()
	says(t, h, one("7", "add:1 number forget number"), "101 true", "0 false")
	if n := h.StateEntries("number"); n != 9 {
		t.Errorf("%d numbers", n)
	}
}

func TestARefusedEventLeavesNothing(t *testing.T) {
	h := tidetest.Open(t, &script{})
	h.Send(one("k", "add:1 put:1 put:2 push:a timer:50 level:3")...)
	before := h.Calls()
	says(t, h, one("k",
		"add:5 drop:1 put:3 empty put:9 push:b clear push:c timer:60 cancel:50 level:8 header:x list !",
		"number entries list get:9"),
		"1 true", "[{1 v1} {2 v2}]", "[a]", " false")
	h.Expect("out")
	if after := h.Calls(); after.Put != before.Put || after.Append != before.Append || after.Clear != before.Clear || after.Timers != before.Timers {
		t.Errorf("written: %+v, then %+v", before, after)
	}
	dead := h.DeadLetters()
	if len(dead) != 1 || dead[0].Reason != "refused" || string(dead[0].Record.Key) != "k" {
		t.Errorf("%v", dead)
	}
	if h.Metric("done") != 2 || h.Metric("level") != 3 || h.Metric("sizes") != 3 || h.Timers() != 1 {
		t.Errorf("%v %v %v %v", h.Metric("done"), h.Metric("level"), h.Metric("sizes"), h.Timers())
	}
}

func TestScansMergeWhatIsStoredWithWhatIsWritten(t *testing.T) {
	h := tidetest.Open(t, &script{})
	h.Send(one("k", "put:-5 put:1 put:3 put:5 put:7 put:9 put:300")...)
	says(t, h, one("k", "drop:3 put:4 put:400 put:-7 entries", "from:4 first:2"),
		"[{-7 v-7} {-5 v-5} {1 v1} {4 v4} {5 v5} {7 v7} {9 v9} {300 v300} {400 v400}]",
		"[{4 v4} {5 v5} {7 v7} {9 v9}]", "[{-7 v-7} {-5 v-5}]")
	says(t, h, one("k", "empty put:2 entries get:5", "get:2"), "[{2 v2}]", " false", "v2 true")
	says(t, h, one("k", "entries"), "[{2 v2}]")
}

func TestManyEntriesOfOneKeyInOneCall(t *testing.T) {
	h := tidetest.Open(t, &script{})
	line := ""
	for i := 99; i >= 0; i-- {
		line += fmt.Sprintf("put:%d ", i)
	}
	says(t, h, one("k", line+"get:42 get:100 first:3 get:99"), "v42 true", " false", "[{0 v0} {1 v1} {2 v2}]", "v99 true")
	if n := h.StateEntries("bag"); n != 100 {
		t.Errorf("%d entries", n)
	}
}

func TestListsKeepTheOrderOfAppends(t *testing.T) {
	h := tidetest.Open(t, &script{})
	h.Send(one("k", "push:a push:b push:c push:d push:e")...)
	says(t, h, one("k", "list push:f", "list"), "[a b c d e]", "[a b c d e f]")
	says(t, h, one("k", "clear push:g list"), "[g]")
	says(t, h, one("k", "list"), "[g]")
}

func TestTimersFireOncePerKeyAndTime(t *testing.T) {
	h := tidetest.Open(t, &script{})
	h.Send(append(one("k", "timer:10 timer:10 timer:13 timer:20 cancel:20", "in:5"), tidetest.Event("j", "timer:10"))...)
	h.Watermark(30)
	h.Clock(4)
	h.Expect("out", tidetest.Event("j", "due").At(10), tidetest.Event("k", "due").At(10))
	h.Clock(5)
	h.Expect("out", tidetest.Event("k", "later").At(5))
	if dead := h.DeadLetters(); len(dead) != 1 || dead[0].Reason != "unlucky" || dead[0].Record.Time != 13 {
		t.Errorf("%v", dead)
	}
}

func TestHeadersAndAbsentColumnsGoThrough(t *testing.T) {
	h := tidetest.Open(t, &script{})
	h.Send(tidetest.Event("k", "number"), tidetest.Event("k", "header:x").At(7), tidetest.Event("k", "forward").WithHeader("a", "1").WithHeader("a", ""))
	h.Expect("out",
		tidetest.Event("k", "0 false"),
		tidetest.Record{Time: 7}.WithHeader("a", "x"),
		tidetest.Event("k", "forward").WithHeader("a", "1").WithHeader("a", ""))
	h.Send(tidetest.Record{Value: []byte("number")}, tidetest.Record{Key: []byte{}, Value: []byte("number")}, tidetest.Record{Key: []byte("k")})
	h.Expect("out", tidetest.Event("", "0 false"))
	dead := h.DeadLetters()
	if len(dead) != 2 || dead[0].Reason != "number: the event has no key; give the source or the upstream operator one" || dead[1].Reason != "the event has no value; text is needed" {
		t.Errorf("%v", dead)
	}
}

func TestFailuresDropTheCallAndTheInstanceLives(t *testing.T) {
	h := tidetest.Open(t, &script{})
	h.Send(one("k", "add:1")...)
	for line, wanted := range map[string]string{
		"add:1 retry:250": "retry after 250 ms",
		"add:1 fatal":     "fatal: broken",
		"add:1 panic:3":   "fatal: panic: runtime error: index out of range [3] with length 0 (at event or timer 1 of the call); the stack is in the operator's log",
	} {
		h.Log()
		if err := h.TrySend(0, one("k", "add:1", line)...); err == nil || err.Error() != wanted {
			t.Errorf("%s: %v", line, err)
		}
		if lines := h.Log(); strings.Contains(line, "panic") != (len(lines) == 1 && strings.Contains(lines[0].Message, "ProcessEvent")) {
			t.Errorf("%s: %v", line, lines)
		}
		says(t, h, one("k", "number"), "1 true")
	}
}

func TestMuchOutputIsEmittedInPieces(t *testing.T) {
	h := tidetest.Open(t, &script{})
	var events []tidetest.Record
	for range 100 {
		events = append(events, tidetest.Event("k", "forward "+strings.Repeat("x", 10_000)))
	}
	h.Send(events...)
	if n, calls := len(h.Output("out")), h.Calls().Emit; n != 100 || calls < 3 {
		t.Errorf("%d events in %d pieces", n, calls)
	}
}
