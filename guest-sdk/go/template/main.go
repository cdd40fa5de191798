// {{name}}: gives out each value that is longer than all before it of the same key.
package main

import "tidemill"

// Longest has as fields what it keeps and where it emits.
type Longest struct {
	longest tidemill.Value[uint64]
	lines   tidemill.Output
}

// ProcessEvent handles one event. An error refuses the event: nothing of it stays, and it goes to the dead letters.
func (l *Longest) ProcessEvent(e *tidemill.Event) error {
	line, err := e.Text()
	if err != nil {
		return err
	}
	longest, _, err := l.longest.Get()
	if err != nil || uint64(len(line)) <= longest {
		return err
	}
	if err := l.longest.Set(uint64(len(line))); err != nil {
		return err
	}
	return l.lines.Emit(e.Key, e.Value)
}

func init() { tidemill.Register(&Longest{}) }

func main() {}
