// Columns as they cross the boundary: bytes end to end and where each value ends. Numbers lie little-endian in memory,
// which is how WebAssembly and every machine that runs the tests keep them.

// Package host is the door to the host: the shapes that cross it and everything that a call may ask for. In a component
// it is the WIT imports (wasm.go); natively it is an interface that tests implement (native.go).
package host

// Columns are byte strings, none absent. Value i is Data[Ends[i-1]:Ends[i]].
type Columns struct {
	Data []byte
	Ends []uint32
}

// OptionalColumns are byte strings that may be absent: Present[i] is 0. An empty Present means that none is.
type OptionalColumns struct {
	Data    []byte
	Ends    []uint32
	Present []byte
}

// Batch is events, one per timestamp.
type Batch struct {
	Timestamps []int64
	Keys       OptionalColumns
	Values     OptionalColumns
	Headers    []byte
}

// Len is how many values there are.
func (c *Columns) Len() int { return len(c.Ends) }

// Get gives value i.
func (c *Columns) Get(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = c.Ends[i-1]
	}
	end := c.Ends[i]
	return c.Data[start:end:end]
}

// Push appends a value.
func (c *Columns) Push(value []byte) {
	c.Data = append(c.Data, value...)
	c.Ends = append(c.Ends, uint32(len(c.Data)))
}

// Clear empties it and keeps the memory.
func (c *Columns) Clear() { c.Data, c.Ends = c.Data[:0], c.Ends[:0] }

// Len is how many values there are.
func (c *OptionalColumns) Len() int { return len(c.Ends) }

// Get gives value i; nil = absent. An empty value is not nil.
func (c *OptionalColumns) Get(i int) []byte {
	if len(c.Present) > 0 && c.Present[i] == 0 {
		return nil
	}
	start := uint32(0)
	if i > 0 {
		start = c.Ends[i-1]
	}
	end := c.Ends[i]
	if c.Data == nil {
		return empty
	}
	return c.Data[start:end:end]
}

var empty = []byte{}

// Push appends a value; nil = absent.
func (c *OptionalColumns) Push(value []byte) {
	if value == nil {
		c.EndAbsent()
		return
	}
	c.Data = append(c.Data, value...)
	c.EndValue()
}

// EndValue makes what was appended to Data since the last value the next one.
func (c *OptionalColumns) EndValue() {
	c.Ends = append(c.Ends, uint32(len(c.Data)))
	if len(c.Present) > 0 {
		c.Present = append(c.Present, 1)
	}
}

// EndAbsent makes the next value an absent one.
func (c *OptionalColumns) EndAbsent() {
	if len(c.Present) == 0 {
		for range c.Ends {
			c.Present = append(c.Present, 1)
		}
	}
	c.Ends = append(c.Ends, uint32(len(c.Data)))
	c.Present = append(c.Present, 0)
}

// Clear empties it and keeps the memory.
func (c *OptionalColumns) Clear() { c.Data, c.Ends, c.Present = c.Data[:0], c.Ends[:0], c.Present[:0] }

// Len is how many events there are.
func (b *Batch) Len() int { return len(b.Timestamps) }

// Bytes is how much it holds, about.
func (b *Batch) Bytes() int {
	return 8*len(b.Timestamps) + len(b.Keys.Data) + len(b.Values.Data) + 8*len(b.Timestamps) + len(b.Headers)
}

// Clear empties it and keeps the memory.
func (b *Batch) Clear() {
	b.Timestamps, b.Headers = b.Timestamps[:0], b.Headers[:0]
	b.Keys.Clear()
	b.Values.Clear()
}

// TimeDomain is which clock a timer follows.
type TimeDomain uint32

// The clocks, in the order of the WIT package.
const (
	EventTime TimeDomain = iota
	ProcessingTime
)

// Level is how grave a log line is.
type Level uint32

// The levels, in the order of the WIT package.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Subtask is one of the parallel copies of an operator.
type Subtask struct{ Index, Parallelism, MaxParallelism uint32 }

// ScanRange is sub-keys in [Start, End) of one key; nil = no bound.
type ScanRange struct{ Key, Start, End []byte }

// Page is some entries of a scan. A Cursor that is not nil means more to come.
type Page struct {
	RangeOf []uint32
	SubKeys Columns
	Values  Columns
	Cursor  []byte
}

// Window is [Start, End) and how often it has fired before.
type Window struct {
	Start, End int64
	Firing     uint32
}

// The least and the greatest time stand for something else; real times lie within +-TimeLimit.
const (
	NoWatermark int64 = -1 << 63
	EndOfInput  int64 = 1<<63 - 1
	TimeLimit   int64 = 1<<53 - 1
)
