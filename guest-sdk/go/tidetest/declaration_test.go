// What the fields of an operator declare, its configuration, batches, several inputs and watermarks.

package tidetest_test

import (
	"strings"
	"testing"

	"tidemill"
	"tidemill/tidetest"
)

type settings struct {
	Limit int `json:"limit"`
	Unit  string
}

func (s *settings) SetDefaults() { s.Limit = 5 }

type joiner struct {
	Config    tidemill.Config[settings]
	orders    tidemill.Input
	PaidBills tidemill.Input `tidemill:"payments"`
	HTTPCount tidemill.Value[point]
	open      tidemill.List[[]byte]
	out       tidemill.Output
	plain     int
}

type point struct{ X, Y int }

func (j *joiner) Process(b *tidemill.Batch) error {
	if j.plain++; b.Len() > j.Config.Get().Limit {
		return tidemill.Fatalf("%d events", b.Len())
	}
	if j.PaidBills.Is(&tidemill.Event{Input: b.Input()}) {
		return j.out.ForwardBatch(b)
	}
	return b.Each(func(e *tidemill.Event) error {
		if len(e.Value) == 0 {
			return tidemill.Reject("empty")
		}
		p, err := j.HTTPCount.Update(func(p point) point { return point{p.X + 1, p.Y - 1} })
		if err != nil {
			return err
		}
		return j.out.EmitJSON(e.Key, p)
	})
}

func (j *joiner) OnWatermark(watermark int64) error {
	return j.out.EmitAt(min(watermark, 99), nil, []byte("wm"))
}

func (j *joiner) Close() error { return j.out.EmitAt(100, nil, []byte("closed")) }

func TestTheFieldsAreTheDeclaration(t *testing.T) {
	h := tidetest.Open(t, &joiner{}, tidemill.Version("1.2.3"), tidemill.ConfigSchema(`{"type":"object"}`))
	wanted := `{"descriptor":1,"name":"joiner","version":"1.2.3","inputs":[{"name":"orders"},{"name":"payments"}],` +
		`"outputs":[{"name":"out"}],"states":[{"name":"http-count","kind":"value"},{"name":"open","kind":"list"}],"timers":[],` +
		`"metrics":[],"wants":{"watermarks":true},"config":{"type":"object"}}`
	if got := h.Describe(); got != wanted {
		t.Errorf("%s", got)
	}
}

type lasting struct {
	seen  tidemill.Value[int]       `ttl:"10s"`
	byDay tidemill.Map[int, string] `ttl:"2d" clock:"event" refresh:"read-and-write" tidemill:"days"`
	items tidemill.List[string]     `ttl:"500ms" clock:"processing" refresh:"write"`
	ever  tidemill.Value[int]
	out   tidemill.Output
}

func (*lasting) ProcessEvent(*tidemill.Event) error { return nil }

func TestAStateSaysHowLongItsEntriesLast(t *testing.T) {
	wanted := `"states":[{"name":"seen","kind":"value","ttl":{"ms":10000,"clock":"processing-time","refresh":"write"}},` +
		`{"name":"days","kind":"map","ttl":{"ms":172800000,"clock":"event-time","refresh":"read-and-write"}},` +
		`{"name":"items","kind":"list","ttl":{"ms":500,"clock":"processing-time","refresh":"write"}},{"name":"ever","kind":"value"}]`
	if got := tidetest.Open(t, &lasting{}).Describe(); !strings.Contains(got, wanted) {
		t.Errorf("%s", got)
	}
}

type noUnit struct {
	seen tidemill.Value[int] `ttl:"10"`
}

func (*noUnit) ProcessEvent(*tidemill.Event) error { return nil }

type noDuration struct {
	seen tidemill.Value[int] `ttl:"0s"`
}

func (*noDuration) ProcessEvent(*tidemill.Event) error { return nil }

type noClock struct {
	seen tidemill.Value[int] `ttl:"1s" clock:"wall"`
}

func (*noClock) ProcessEvent(*tidemill.Event) error { return nil }

type noRefresh struct {
	seen tidemill.Value[int] `ttl:"1s" refresh:"read"`
}

func (*noRefresh) ProcessEvent(*tidemill.Event) error { return nil }

type noTTL struct {
	seen tidemill.Value[int] `clock:"event"`
}

func (*noTTL) ProcessEvent(*tidemill.Event) error { return nil }

type noState struct {
	out tidemill.Output `ttl:"1s"`
}

func (*noState) ProcessEvent(*tidemill.Event) error { return nil }

func TestBatchesInputsWatermarksAndClose(t *testing.T) {
	h := tidetest.OpenWith(t, &joiner{}, map[string]any{"limit": 2, "Unit": "m"})
	h.Send(tidetest.Event("k", "a"), tidetest.Event("k", ""))
	h.ReplaceInstance()
	h.Send(tidetest.Event("k", "a"))
	h.SendTo(1, tidetest.Event("k", "whole").At(3), tidetest.Record{})
	h.Watermark(50)
	h.End()
	h.Expect("out", tidetest.Event("k", `{"X":1,"Y":-1}`), tidetest.Event("k", `{"X":2,"Y":-2}`), tidetest.Event("k", "whole").At(3),
		tidetest.Record{}, tidetest.Record{Value: []byte("wm"), Time: 50}, tidetest.Record{Value: []byte("wm"), Time: 99},
		tidetest.Record{Value: []byte("closed"), Time: 100})
	if err := h.TrySend(0, make([]tidetest.Record, 3)...); err == nil || err.Error() != "fatal: 3 events" {
		t.Errorf("%v", err)
	}
}

type noMethods struct{ out tidemill.Output }

type noTimers struct {
	at tidemill.EventTimer
}

func (*noTimers) ProcessEvent(*tidemill.Event) error { return nil }

type badSubKey struct {
	by tidemill.Map[point, int]
}

func (*badSubKey) ProcessEvent(*tidemill.Event) error { return nil }

func TestWhatCannotBeAnOperatorIsSaid(t *testing.T) {
	for wanted, operator := range map[string]any{
		"implements neither ProcessEvent":               &noMethods{},
		"has the timer `at`, but no OnTimer":            &noTimers{},
		"state `by`: tidetest_test.point is no sub-key": &badSubKey{},
		`ttl:"10": write a duration above 0`:            &noUnit{},
		`ttl:"0s": write a duration above 0`:            &noDuration{},
		`clock:"wall": write event or processing`:       &noClock{},
		`refresh:"read": write write or read-and-write`: &noRefresh{},
		"`clock` and `refresh` are of `ttl`":            &noTTL{},
		"field out has a ttl, and is no state":          &noState{},
	} {
		if _, err := tidetest.TryOpen(t, operator, nil); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%v instead of %s", err, wanted)
		}
	}
	_, err := tidetest.TryOpen(t, &joiner{}, map[string]any{"limits": 2})
	if err == nil || !strings.Contains(err.Error(), "operator `joiner`") || !strings.Contains(err.Error(), `"limits"`) {
		t.Errorf("%v", err)
	}
}
