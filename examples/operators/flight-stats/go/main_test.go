// The aggregate under the native harness: sums, nothing flown, bad rows, pieces.

package main

import (
	"fmt"
	"strings"
	"testing"

	"tidemill/tidetest"
)

const newYear, day = 1_356_998_400_000, 86_400_000

var window = tidetest.Span{Start: newYear, End: newYear + day}

func flights(origin string, delays ...string) (rows []tidetest.Record) {
	for _, delay := range delays {
		rows = append(rows, tidetest.Event(origin, fmt.Sprintf(`{"dep_delay_min":%q,"origin":%q}`, delay, origin)))
	}
	return rows
}

func TestOnlyFlownFlightsCountIntoMeanWorstAndShare(t *testing.T) {
	a := tidetest.OpenAggregate(t, &FlightStats{}, nil)
	a.Add(window, append(flights("JFK", "20", "", "-5", "15"), flights("LGA", "")...)...)
	rows := a.Finish(window)
	wanted := []string{
		`{"origin":"JFK","day":"2013-01-01","count":4,"cancelled":1,"mean":10.0,"worst":20,"over15":0.3333333333333333}`,
		`{"origin":"LGA","day":"2013-01-01","count":1,"cancelled":1,"mean":null,"worst":null,"over15":null}`,
	}
	for i, row := range rows {
		if string(row.Value) != wanted[i] || row.Time != newYear+day-1 {
			t.Error(row)
		}
	}
	if len(rows) != 2 || a.Metric("results") != 2 {
		t.Error(rows)
	}
}

func TestBadRowsAreRefusedAndLeaveNothingBehind(t *testing.T) {
	a := tidetest.OpenAggregate(t, &FlightStats{}, map[string]any{"threshold_minutes": 2})
	a.Add(window, append(flights("JFK", "3", "soon", "2"), tidetest.Event("JFK", "dep_delay_min=3"), tidetest.Event("JFK", "{}"))...)
	got := string(a.Finish(window)[0].Value)
	if !strings.Contains(got, `"count":2,"cancelled":0,"mean":2.5,"worst":3,"over15":0.5`) {
		t.Error(got)
	}
	dead := a.DeadLetters()
	for i, wanted := range []string{"`soon` is no whole number", "not the JSON that is needed", "no dep_delay_min"} {
		if len(dead) != 3 || !strings.Contains(dead[i].Reason, wanted) {
			t.Error(dead)
		}
	}
}

func TestPiecesOfADayAddUp(t *testing.T) {
	a := tidetest.OpenAggregate(t, &FlightStats{}, nil)
	morning, evening := tidetest.Span{Start: newYear, End: newYear + day/2}, tidetest.Span{Start: newYear + day/2, End: newYear + day}
	a.Add(morning, flights("JFK", "")...)
	a.Add(evening, flights("JFK", "30", "")...)
	a.Merge(window, morning, evening)
	if got := string(a.Finish(window)[0].Value); !strings.Contains(got, `"count":3,"cancelled":2,"mean":30.0,"worst":30,"over15":1.0`) {
		t.Error(got)
	}
}
