// How often each key came: emits the count so far, as decimal text, for every event. Its Rust twin lies beside it.
package main

import (
	"strconv"

	"tidemill"
)

// Count keeps a count per key.
type Count struct {
	seen   tidemill.Value[uint64]
	counts tidemill.Output
	text   []byte
}

// ProcessEvent counts one event.
func (c *Count) ProcessEvent(e *tidemill.Event) error {
	n, err := c.seen.Update(func(n uint64) uint64 { return n + 1 })
	if err != nil {
		return err
	}
	c.text = strconv.AppendUint(c.text[:0], n, 10)
	return c.counts.Emit(e.Key, c.text)
}

func init() { tidemill.Register(&Count{}) }

func main() {}
