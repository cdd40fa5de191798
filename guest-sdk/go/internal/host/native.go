//go:build !wasip1

// The door natively: an interface that tests implement.

package host

import "sync"

// Host is what a call may ask for. The shapes and rules are those of the WIT package.
type Host interface {
	Get(state uint32, keys, subKeys *Columns) OptionalColumns
	Put(state uint32, keys, subKeys *Columns, values *OptionalColumns)
	Append(state uint32, keys, values *Columns)
	Clear(state uint32, keys *Columns)
	Scan(state uint32, ranges []ScanRange, limit uint32, cursor []byte) Page
	Register(domain TimeDomain, timer uint32, keys *Columns, times []int64)
	Cancel(domain TimeDomain, timer uint32, keys *Columns, times []int64)
	Emit(port uint32, events *Batch)
	Add(metric uint32, amount uint64)
	Set(metric uint32, value float64)
	Observe(metric uint32, values []float64)
	Subtask() Subtask
	Now() int64
}

var (
	logLock sync.Mutex
	lines   []Line
)

// Line is a logged line.
type Line struct {
	Level   Level
	Message string
}

// Log keeps a line for TakeLog.
func Log(level Level, message string) {
	logLock.Lock()
	defer logLock.Unlock()
	lines = append(lines, Line{level, message})
}

// TakeLog takes the lines logged since it was last called.
func TakeLog() []Line {
	logLock.Lock()
	defer logLock.Unlock()
	taken := lines
	lines = nil
	return taken
}
