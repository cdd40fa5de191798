// Departure statistics per origin and day as a window aggregate: the host keeps the days (a tumbling window), this folds
// flights into sums and makes a result of them. Everything is summed in integers, so that the result does not depend on the
// order of the flights.
package main

import (
	"strconv"
	"strings"
	"time"

	"tidemill/aggregate"
)

// Settings are the `config` table of the pipeline file.
type Settings struct {
	// ThresholdMinutes: a flight that leaves later than this counts into `over15`.
	ThresholdMinutes int64 `json:"threshold_minutes"`
}

// SetDefaults is for what the pipeline file leaves out.
func (s *Settings) SetDefaults() { s.ThresholdMinutes = 15 }

// row is the columns that matter here.
type row struct {
	Delay *string `json:"dep_delay_min"`
}

// Day is the sums of one origin's day.
type Day struct {
	Count, Cancelled, DelaySum, Over int64
	Worst                            *int64
}

// result is one row of the output.
type result struct {
	Origin    string   `json:"origin"`
	Day       string   `json:"day"`
	Count     int64    `json:"count"`
	Cancelled int64    `json:"cancelled"`
	Mean      *decimal `json:"mean"`
	Worst     *int64   `json:"worst"`
	Over15    *decimal `json:"over15"`
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

// FlightStats is the aggregate.
type FlightStats struct {
	config  aggregate.Config[Settings]
	results aggregate.Counter
}

// Add folds a flight in.
func (f *FlightStats) Add(day *Day, e *aggregate.Event) error {
	var flight row
	if err := e.JSON(&flight); err != nil {
		return err
	}
	if flight.Delay == nil {
		return aggregate.Reject("the row has no dep_delay_min")
	}
	day.Count++
	text := strings.TrimSpace(*flight.Delay)
	if text == "" {
		day.Cancelled++
		return nil
	}
	minutes, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return aggregate.Rejectf("dep_delay_min `%s` is no whole number of minutes: %v", text, err)
	}
	day.fly(minutes, minutes > f.config.Get().ThresholdMinutes)
	return nil
}

func (d *Day) fly(minutes int64, over bool) {
	d.DelaySum += minutes
	if over {
		d.Over++
	}
	if d.Worst == nil || *d.Worst < minutes {
		d.Worst = &minutes
	}
}

// Merge folds in a later piece.
func (f *FlightStats) Merge(day, later *Day) error {
	day.Count += later.Count
	day.Cancelled += later.Cancelled
	day.DelaySum += later.DelaySum
	day.Over += later.Over
	if day.Worst == nil || (later.Worst != nil && *day.Worst < *later.Worst) {
		day.Worst = later.Worst
	}
	return nil
}

// Finish makes the row of an origin's day.
func (f *FlightStats) Finish(window *aggregate.Window, day *Day, rows *aggregate.Rows) error {
	flown := day.Count - day.Cancelled
	f.results.Add(1)
	return rows.EmitJSON(result{
		Origin: string(window.Key), Day: time.UnixMilli(window.Start).UTC().Format(time.DateOnly),
		Count: day.Count, Cancelled: day.Cancelled, Worst: day.Worst,
		Mean: quotient(day.DelaySum, flown), Over15: quotient(day.Over, flown),
	})
}

// quotient is sum / n, as it is: who shows it rounds it. None when n is 0.
func quotient(sum, n int64) *decimal {
	if n == 0 {
		return nil
	}
	d := decimal(float64(sum) / float64(n))
	return &d
}

func init() { aggregate.Register[Day](&FlightStats{}) }

func main() {}
