// Departure statistics of an airport, as a window aggregate: rows of flights in, one result per airport and window out. Which
// windows, how late an event may be and when results come is the pipeline file's affair. Its Rust twin lies beside it.
package main

import (
	"strconv"
	"strings"

	"tidemill/aggregate"
)

// Settings are the `config` table of the pipeline file.
type Settings struct {
	// ThresholdMinutes: a flight that leaves more minutes late than this counts as late.
	ThresholdMinutes int64 `json:"threshold_minutes"`
}

// SetDefaults is for what the pipeline file leaves out.
func (s *Settings) SetDefaults() { s.ThresholdMinutes = 15 }

// row is the columns that matter here; the event's time is the scheduled departure, its key the airport.
type row struct {
	Delay *string `json:"dep_delay_min"`
}

// Flights is what is kept of some flights; whole numbers, so that their order changes nothing.
type Flights struct {
	Count, Cancelled, Late, DelaySum int64
	Worst                            *int64
}

// statistics is one result.
type statistics struct {
	Origin    string   `json:"origin"`
	From      int64    `json:"from"`
	To        int64    `json:"to"`
	Count     int64    `json:"count"`
	Cancelled int64    `json:"cancelled"`
	Late      int64    `json:"late"`
	Mean      *decimal `json:"mean"`
	Worst     *int64   `json:"worst"`
}

// decimal is written with a point even where it is whole.
type decimal float64

// MarshalJSON writes it.
func (d decimal) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(d), 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return []byte(text), nil
}

// FlightAggregate is the aggregate.
type FlightAggregate struct {
	config  aggregate.Config[Settings]
	results aggregate.Counter
}

// Add folds a flight in.
func (f *FlightAggregate) Add(flights *Flights, e *aggregate.Event) error {
	var flight row
	if err := e.JSON(&flight); err != nil {
		return err
	}
	if flight.Delay == nil {
		return aggregate.Reject("the row has no dep_delay_min")
	}
	flights.Count++
	text := strings.TrimSpace(*flight.Delay)
	if text == "" {
		flights.Cancelled++
		return nil
	}
	minutes, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	flights.DelaySum += minutes
	if minutes > f.config.Get().ThresholdMinutes {
		flights.Late++
	}
	flights.noteWorst(&minutes)
	return nil
}

func (f *Flights) noteWorst(minutes *int64) {
	if f.Worst == nil || (minutes != nil && *f.Worst < *minutes) {
		f.Worst = minutes
	}
}

// Merge folds in a later piece.
func (f *FlightAggregate) Merge(flights, later *Flights) error {
	flights.Count += later.Count
	flights.Cancelled += later.Cancelled
	flights.Late += later.Late
	flights.DelaySum += later.DelaySum
	flights.noteWorst(later.Worst)
	return nil
}

// Finish makes the row of an airport and window.
func (f *FlightAggregate) Finish(window *aggregate.Window, flights *Flights, rows *aggregate.Rows) error {
	result := statistics{
		Origin: string(window.Key), From: window.Start, To: window.End,
		Count: flights.Count, Cancelled: flights.Cancelled, Late: flights.Late, Worst: flights.Worst,
	}
	if flown := flights.Count - flights.Cancelled; flown > 0 {
		mean := decimal(float64(flights.DelaySum) / float64(flown))
		result.Mean = &mean
	}
	f.results.Add(1)
	return rows.EmitJSON(result)
}

func init() { aggregate.Register[Flights](&FlightAggregate{}) }

func main() {}
