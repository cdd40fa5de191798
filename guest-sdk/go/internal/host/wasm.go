//go:build wasip1

// The door in a component: the canonical ABI of the WIT imports, written by hand. A call copies nothing but what the host
// itself copies.

package host

import (
	"runtime"
	"unsafe"
)

type ptr = unsafe.Pointer

// Where a call answers something, the host calls cabi_realloc meanwhile and the collector may run; stacks may move then,
// so these imports are not marked noescape and their arguments lie on the heap.

//go:wasmimport tidemill:operator/state@0.1.0 get
func get(state uint32, keys ptr, keysLen uint32, ends ptr, endsLen uint32, some uint32, sub ptr, subLen uint32, subEnds ptr, subEndsLen uint32, ret ptr)

//go:wasmimport tidemill:operator/state@0.1.0 put
//go:noescape
func put(state uint32, keys ptr, keysLen uint32, ends ptr, endsLen uint32, some uint32, sub ptr, subLen uint32, subEnds ptr, subEndsLen uint32, values ptr, valuesLen uint32, valueEnds ptr, valueEndsLen uint32, present ptr, presentLen uint32)

//go:wasmimport tidemill:operator/state@0.1.0 append
//go:noescape
func appendTo(state uint32, keys ptr, keysLen uint32, ends ptr, endsLen uint32, values ptr, valuesLen uint32, valueEnds ptr, valueEndsLen uint32)

//go:wasmimport tidemill:operator/state@0.1.0 clear
//go:noescape
func clearKeys(state uint32, keys ptr, keysLen uint32, ends ptr, endsLen uint32)

//go:wasmimport tidemill:operator/state@0.1.0 scan
func scan(state uint32, ranges ptr, rangesLen uint32, limit uint32, some uint32, cursor ptr, cursorLen uint32, ret ptr)

//go:wasmimport tidemill:operator/timers@0.1.0 register
//go:noescape
func register(domain uint32, timer uint32, keys ptr, keysLen uint32, ends ptr, endsLen uint32, times ptr, timesLen uint32)

//go:wasmimport tidemill:operator/timers@0.1.0 cancel
//go:noescape
func cancel(domain uint32, timer uint32, keys ptr, keysLen uint32, ends ptr, endsLen uint32, times ptr, timesLen uint32)

//go:wasmimport tidemill:operator/output@0.1.0 emit
//go:noescape
func emit(params ptr)

//go:wasmimport tidemill:operator/metrics@0.1.0 add
func add(metric uint32, amount uint64)

//go:wasmimport tidemill:operator/metrics@0.1.0 set
func set(metric uint32, value float64)

//go:wasmimport tidemill:operator/metrics@0.1.0 observe
//go:noescape
func observe(metric uint32, values ptr, valuesLen uint32)

//go:wasmimport tidemill:operator/log@0.1.0 log
//go:noescape
func log(level uint32, message ptr, messageLen uint32)

//go:wasmimport tidemill:operator/context@0.1.0 current-subtask
func currentSubtask(ret ptr)

//go:wasmimport tidemill:operator/context@0.1.0 current-time
func currentTime() int64

// Host is what a call may ask for; in a component there is one.
type Host struct{}

// Pointers are 64 bits wide in Go's structs on this platform, so what the ABI lays out in memory is words.
var answer [16]uint32

func addr[T any](s []T) ptr { return ptr(unsafe.SliceData(s)) }

func word(p ptr) uint32 { return uint32(uintptr(p)) }

func size[T any](s []T, width uint32) uint32 { return uint32(len(s)) * width }

// Bytes gives what lies at an address of the guest's memory; never nil.
func Bytes(at, n uint32) []byte {
	if n == 0 {
		return empty
	}
	return unsafe.Slice((*byte)(unsafe.Add(ptr(nil), at)), n)
}

// U32s gives a buffer of numbers: n is in bytes. The arena aligns all it gives.
func U32s(at, n uint32) []uint32 {
	if n < 4 {
		return nil
	}
	return unsafe.Slice((*uint32)(unsafe.Add(ptr(nil), at)), n/4)
}

// I64s gives a buffer of times: n is in bytes.
func I64s(at, n uint32) []int64 {
	if n < 8 {
		return nil
	}
	return unsafe.Slice((*int64)(unsafe.Add(ptr(nil), at)), n/8)
}

// ReadColumns takes columns from four words.
func ReadColumns(w []uint32) Columns { return Columns{Bytes(w[0], w[1]), U32s(w[2], w[3])} }

// ReadOptionalColumns takes columns from six words.
func ReadOptionalColumns(w []uint32) OptionalColumns {
	return OptionalColumns{Bytes(w[0], w[1]), U32s(w[2], w[3]), Bytes(w[4], w[5])}
}

// ReadBatch takes a batch from sixteen words.
func ReadBatch(w []uint32) Batch {
	return Batch{I64s(w[0], w[1]), ReadOptionalColumns(w[2:]), ReadOptionalColumns(w[8:]), Bytes(w[14], w[15])}
}

// PutBytes lays a byte list out in two words. Whoever calls keeps it alive.
func PutBytes(w []uint32, b []byte) { w[0], w[1] = word(addr(b)), uint32(len(b)) }

// PutColumns lays columns out in four words.
func PutColumns(w []uint32, c *Columns) {
	PutBytes(w, c.Data)
	w[2], w[3] = word(addr(c.Ends)), size(c.Ends, 4)
}

// PutBatch lays a batch out in sixteen words.
func PutBatch(w []uint32, b *Batch) {
	w[0], w[1] = word(addr(b.Timestamps)), size(b.Timestamps, 8)
	for i, c := range []*OptionalColumns{&b.Keys, &b.Values} {
		w := w[2+6*i:]
		PutBytes(w, c.Data)
		w[2], w[3] = word(addr(c.Ends)), size(c.Ends, 4)
		PutBytes(w[4:], c.Present)
	}
	PutBytes(w[14:], b.Headers)
}

// Get reads values.
func (Host) Get(state uint32, keys, subKeys *Columns) OptionalColumns {
	some, sub := optional(subKeys)
	get(state, addr(keys.Data), uint32(len(keys.Data)), addr(keys.Ends), size(keys.Ends, 4),
		some, addr(sub.Data), uint32(len(sub.Data)), addr(sub.Ends), size(sub.Ends, 4), ptr(&answer))
	runtime.KeepAlive(keys)
	runtime.KeepAlive(sub)
	return ReadOptionalColumns(answer[:])
}

var none Columns

func optional(c *Columns) (uint32, *Columns) {
	if c == nil {
		return 0, &none
	}
	return 1, c
}

// Put writes or deletes values.
func (Host) Put(state uint32, keys, subKeys *Columns, values *OptionalColumns) {
	some, sub := optional(subKeys)
	put(state, addr(keys.Data), uint32(len(keys.Data)), addr(keys.Ends), size(keys.Ends, 4),
		some, addr(sub.Data), uint32(len(sub.Data)), addr(sub.Ends), size(sub.Ends, 4),
		addr(values.Data), uint32(len(values.Data)), addr(values.Ends), size(values.Ends, 4), addr(values.Present), uint32(len(values.Present)))
}

// Append appends to lists.
func (Host) Append(state uint32, keys, values *Columns) {
	appendTo(state, addr(keys.Data), uint32(len(keys.Data)), addr(keys.Ends), size(keys.Ends, 4),
		addr(values.Data), uint32(len(values.Data)), addr(values.Ends), size(values.Ends, 4))
}

// Clear removes everything under keys.
func (Host) Clear(state uint32, keys *Columns) {
	clearKeys(state, addr(keys.Data), uint32(len(keys.Data)), addr(keys.Ends), size(keys.Ends, 4))
}

// Scan reads entries in order.
func (Host) Scan(state uint32, ranges []ScanRange, limit uint32, cursor []byte) Page {
	words := make([]uint32, 8*len(ranges))
	for i, r := range ranges {
		w := words[8*i:]
		PutBytes(w, r.Key)
		for j, bound := range [][]byte{r.Start, r.End} {
			if bound != nil {
				w[2+3*j] = 1
				PutBytes(w[3+3*j:], bound)
			}
		}
	}
	some := uint32(0)
	if cursor != nil {
		some = 1
	}
	scan(state, addr(words), uint32(len(ranges)), limit, some, addr(cursor), uint32(len(cursor)), ptr(&answer))
	runtime.KeepAlive(words)
	runtime.KeepAlive(ranges)
	runtime.KeepAlive(cursor)
	page := Page{RangeOf: U32s(answer[0], answer[1]), SubKeys: ReadColumns(answer[2:]), Values: ReadColumns(answer[6:])}
	if answer[10]&0xff != 0 {
		page.Cursor = Bytes(answer[11], answer[12])
	}
	return page
}

// Register registers timers.
func (Host) Register(domain TimeDomain, timer uint32, keys *Columns, times []int64) {
	register(uint32(domain), timer, addr(keys.Data), uint32(len(keys.Data)), addr(keys.Ends), size(keys.Ends, 4), addr(times), size(times, 8))
}

// Cancel takes timers back.
func (Host) Cancel(domain TimeDomain, timer uint32, keys *Columns, times []int64) {
	cancel(uint32(domain), timer, addr(keys.Data), uint32(len(keys.Data)), addr(keys.Ends), size(keys.Ends, 4), addr(times), size(times, 8))
}

var emitted [17]uint32

// Emit emits events.
func (Host) Emit(port uint32, events *Batch) {
	emitted[0] = port
	PutBatch(emitted[1:], events)
	emit(ptr(&emitted))
	runtime.KeepAlive(events)
}

// Add adds to a counter.
func (Host) Add(metric uint32, amount uint64) { add(metric, amount) }

// Set sets a gauge.
func (Host) Set(metric uint32, value float64) { set(metric, value) }

// Observe notes values in a histogram.
func (Host) Observe(metric uint32, values []float64) {
	observe(metric, addr(values), uint32(len(values)))
}

// Subtask says which copy this is.
func (Host) Subtask() Subtask {
	currentSubtask(ptr(&answer))
	return Subtask{answer[0], answer[1], answer[2]}
}

// Now is the call's processing time, ms.
func (Host) Now() int64 { return currentTime() }

// Log writes a line to the operator's log.
func Log(level Level, message string) {
	log(uint32(level), ptr(unsafe.StringData(message)), uint32(len(message)))
}
