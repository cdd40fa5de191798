// {{name}}: how many events a window has, and how long the longest is.
package main

import "tidemill/aggregate"

// Lengths is what is kept of the events of a window.
type Lengths struct {
	Events  int `json:"events"`
	Longest int `json:"longest"`
}

// Longest may have configuration and metrics as fields; the accumulator is all that lasts.
type Longest struct{}

// Add folds an event in. An error refuses it: the accumulator stays as it was, and the event goes to the dead letters.
func (l *Longest) Add(lengths *Lengths, e *aggregate.Event) error {
	text, err := e.Text()
	if err != nil {
		return err
	}
	lengths.Events++
	lengths.Longest = max(lengths.Longest, len(text))
	return nil
}

// Merge folds in a later piece of the same window.
func (l *Longest) Merge(lengths, later *Lengths) error {
	lengths.Events += later.Events
	lengths.Longest = max(lengths.Longest, later.Longest)
	return nil
}

// Finish gives the rows of a window.
func (l *Longest) Finish(window *aggregate.Window, lengths *Lengths, rows *aggregate.Rows) error {
	return rows.EmitJSON(lengths)
}

func init() { aggregate.Register[Lengths](&Longest{}) }

func main() {}
