// The aggregate under the native harness: sums, nothing flown, bad rows, pieces.

package main

import (
	"fmt"
	"strings"
	"testing"

	"tidemill/tidetest"
)

var window = tidetest.Span{Start: 0, End: 100}

func flights(origin string, delays ...string) (rows []tidetest.Record) {
	for _, delay := range delays {
		rows = append(rows, tidetest.Event(origin, fmt.Sprintf(`{"dep_delay_min":%q,"origin":%q}`, delay, origin)))
	}
	return rows
}

func TestAWindowGivesOneResultPerAirport(t *testing.T) {
	a := tidetest.OpenAggregate(t, &FlightAggregate{}, nil)
	a.Add(window, append(flights("JFK", "16", "", "-4"), flights("LGA", "")...)...)
	a.ReplaceInstance()
	rows := a.Finish(window)
	wanted := []string{
		`{"origin":"JFK","from":0,"to":100,"count":3,"cancelled":1,"late":1,"mean":6.0,"worst":16}`,
		`{"origin":"LGA","from":0,"to":100,"count":1,"cancelled":1,"late":0,"mean":null,"worst":null}`,
	}
	for i, row := range rows {
		if string(row.Value) != wanted[i] || row.Time != 99 {
			t.Error(row)
		}
	}
	if len(rows) != 2 || a.Metric("results") != 2 {
		t.Error(rows)
	}
}

func TestARefusedRowLeavesTheAccumulatorAsItWas(t *testing.T) {
	a := tidetest.OpenAggregate(t, &FlightAggregate{}, map[string]any{"threshold_minutes": 2})
	// Add has counted the flight before it finds that the delay is none.
	a.Add(window, append(flights("JFK", "7", "soon", "9", "later", "2"), tidetest.Event("JFK", "dep_delay_min=3"), tidetest.Event("JFK", "{}"))...)
	got := string(a.Finish(window)[0].Value)
	if !strings.Contains(got, `"count":3,"cancelled":0,"late":2,"mean":6.0,"worst":9`) {
		t.Error(got)
	}
	dead := a.DeadLetters()
	for i, wanted := range []string{`parsing "soon"`, `parsing "later"`, "not the JSON that is needed", "no dep_delay_min"} {
		if len(dead) != 4 || !strings.Contains(dead[i].Reason, wanted) {
			t.Error(dead)
		}
	}
}

func TestPiecesOfAWindowAddUp(t *testing.T) {
	a := tidetest.OpenAggregate(t, &FlightAggregate{}, nil)
	early, late := tidetest.Span{Start: 0, End: 50}, tidetest.Span{Start: 50, End: 100}
	a.Add(early, flights("JFK", "")...)
	a.Add(late, flights("JFK", "-30", "")...)
	a.Merge(window, early, late)
	if got := string(a.Finish(window)[0].Value); !strings.Contains(got, `"count":3,"cancelled":2,"late":0,"mean":-30.0,"worst":-30`) {
		t.Error(got)
	}
}
