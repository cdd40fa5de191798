//go:build !wasip1

// The host in memory: maps for state and timers, a copy of them to roll a call back to. It holds the operator to the
// contract as the real host does: what would trap there fails the test here.

package tidetest

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"sort"
	"testing"

	"tidemill/internal/guest"
	"tidemill/internal/host"
)

// Calls is how often the operator called the host.
type Calls struct{ Get, Put, Append, Clear, Scan, Emit, Timers int }

// page is how many entries a page of a scan has: few, so that tests cross pages.
const page = 3

type stateKey struct {
	state uint32
	key   string
}

// stored is a value, and what says when it is over.
type stored struct {
	value string
	stamp int64
}

type timerKey struct {
	domain host.TimeDomain
	time   int64
	timer  uint32
	key    string
}

type emitted struct {
	port   uint32
	record Record
}

type contents struct {
	state    map[stateKey]map[string]stored
	timers   map[timerKey]bool
	output   []emitted
	metrics  map[uint32]float64
	appended uint64
}

func (c *contents) clone() contents {
	state := make(map[stateKey]map[string]stored, len(c.state))
	for key, entries := range c.state {
		state[key] = maps.Clone(entries)
	}
	return contents{state, maps.Clone(c.timers), slices.Clone(c.output), maps.Clone(c.metrics), c.appended}
}

type memory struct {
	t      testing.TB
	kinds  []guest.Kind
	now    contents
	before contents
	calls  Calls
	clock  int64
	// Of the call.
	watermark int64
	newest    map[string]int64
}

func newMemory(t testing.TB) *memory {
	return &memory{t: t, now: contents{map[stateKey]map[string]stored{}, map[timerKey]bool{}, nil, map[uint32]float64{}, 0}}
}

// begin begins a call about these events or timers.
func (m *memory) begin(watermark int64, about []Record) {
	m.watermark, m.newest = watermark, map[string]int64{}
	for _, one := range about {
		if newest, there := m.newest[string(one.Key)]; !there || newest < one.Time {
			m.newest[string(one.Key)] = one.Time
		}
	}
	m.free()
	m.before = m.now.clone()
}

func (m *memory) rollBack() { m.now = m.before }

// free frees what has outlived its time, here at once.
func (m *memory) free() {
	for at, entries := range m.now.state {
		if ttl := m.kinds[at.state].TTL; ttl != nil {
			now := m.clock
			if ttl.Clock == "event-time" {
				now = m.watermark
			}
			maps.DeleteFunc(entries, func(_ string, s stored) bool { return s.stamp+ttl.Ms <= now })
		}
	}
}

func (m *memory) stamp(state uint32, key []byte) int64 {
	if ttl := m.kinds[state].TTL; ttl == nil || ttl.Clock != "event-time" {
		return m.clock
	}
	newest, there := m.newest[string(key)]
	if !there {
		newest = m.watermark
		for _, time := range m.newest {
			newest = max(newest, time)
		}
	}
	return max(newest, m.watermark)
}

// read gives the value of an entry, which lasts longer where reading does that.
func (m *memory) read(state uint32, key []byte, subKey string) (string, bool) {
	s, there := m.now.state[stateKey{state, string(key)}][subKey]
	if ttl := m.kinds[state].TTL; there && ttl != nil && ttl.Refresh == "read-and-write" {
		m.write(state, key, subKey, s.value)
	}
	return s.value, there
}

func (m *memory) write(state uint32, key []byte, subKey, value string) {
	m.entries(state, key)[subKey] = stored{value, m.stamp(state, key)}
}

func (m *memory) trap(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("trap: "+format, args...)
}

func (m *memory) check(call string, state uint32, kinds ...string) {
	m.t.Helper()
	if int(state) >= len(m.kinds) || !slices.Contains(kinds, m.kinds[state].Kind) {
		m.trap("state.%s on state %d of %v; it needs one of %v", call, state, m.kinds, kinds)
	}
}

func (m *memory) entries(state uint32, key []byte) map[string]stored {
	at := stateKey{state, string(key)}
	if m.now.state[at] == nil {
		m.now.state[at] = map[string]stored{}
	}
	return m.now.state[at]
}

func kindOf(subKeys *host.Columns) string {
	if subKeys != nil {
		return "map"
	}
	return "value"
}

func sub(subKeys *host.Columns, i int) string {
	if subKeys == nil {
		return ""
	}
	return string(subKeys.Get(i))
}

// Get is the host's.
func (m *memory) Get(state uint32, keys, subKeys *host.Columns) (out host.OptionalColumns) {
	m.check("get", state, kindOf(subKeys))
	m.calls.Get++
	for i := range keys.Len() {
		if value, there := m.read(state, keys.Get(i), sub(subKeys, i)); there {
			out.Push([]byte(value))
		} else {
			out.EndAbsent()
		}
	}
	return out
}

// Put is the host's.
func (m *memory) Put(state uint32, keys, subKeys *host.Columns, values *host.OptionalColumns) {
	m.check("put", state, kindOf(subKeys))
	m.calls.Put++
	if keys.Len() != values.Len() {
		m.trap("state.put needs one value per key")
	}
	for i := range keys.Len() {
		if value := values.Get(i); value != nil {
			m.write(state, keys.Get(i), sub(subKeys, i), string(value))
		} else {
			delete(m.entries(state, keys.Get(i)), sub(subKeys, i))
		}
	}
}

// Append is the host's.
func (m *memory) Append(state uint32, keys, values *host.Columns) {
	m.check("append", state, "list")
	m.calls.Append++
	if keys.Len() != values.Len() {
		m.trap("state.append needs one value per key")
	}
	for i := range keys.Len() {
		m.now.appended++
		at := string(binary.BigEndian.AppendUint64(nil, m.now.appended))
		m.write(state, keys.Get(i), at, string(values.Get(i)))
	}
}

// Clear is the host's.
func (m *memory) Clear(state uint32, keys *host.Columns) {
	m.check("clear", state, "value", "map", "list")
	m.calls.Clear++
	for i := range keys.Len() {
		delete(m.now.state, stateKey{state, string(keys.Get(i))})
	}
}

// Scan is the host's.
func (m *memory) Scan(state uint32, ranges []host.ScanRange, limit uint32, cursor []byte) (out host.Page) {
	m.check("scan", state, "map", "list")
	m.calls.Scan++
	type entry struct {
		of  uint32
		sub string
	}
	var all []entry
	for i, r := range ranges {
		entries := m.now.state[stateKey{state, string(r.Key)}]
		for _, sub := range slices.Sorted(maps.Keys(entries)) {
			if (r.Start == nil || string(r.Start) <= sub) && (r.End == nil || sub < string(r.End)) {
				all = append(all, entry{uint32(i), sub})
			}
		}
	}
	done := 0
	if cursor != nil {
		done = int(binary.LittleEndian.Uint64(cursor))
	}
	take := page
	if limit > 0 {
		take = min(page, int(limit))
	}
	for _, e := range all[done:min(done+take, len(all))] {
		out.RangeOf = append(out.RangeOf, e.of)
		value, _ := m.read(state, ranges[e.of].Key, e.sub)
		if m.kinds[state].Kind == "list" {
			e.sub = ""
		}
		out.SubKeys.Push([]byte(e.sub))
		out.Values.Push([]byte(value))
	}
	if done+take < len(all) {
		out.Cursor = binary.LittleEndian.AppendUint64(nil, uint64(done+take))
	}
	return out
}

// Register is the host's.
func (m *memory) Register(domain host.TimeDomain, timer uint32, keys *host.Columns, times []int64) {
	m.calls.Timers++
	for i, time := range times {
		m.now.timers[timerKey{domain, time, timer, string(keys.Get(i))}] = true
	}
}

// Cancel is the host's.
func (m *memory) Cancel(domain host.TimeDomain, timer uint32, keys *host.Columns, times []int64) {
	m.calls.Timers++
	for i, time := range times {
		delete(m.now.timers, timerKey{domain, time, timer, string(keys.Get(i))})
	}
}

// Emit is the host's.
func (m *memory) Emit(port uint32, events *host.Batch) {
	m.calls.Emit++
	if events.Keys.Len() != events.Len() || events.Values.Len() != events.Len() {
		m.trap("the columns of an emitted batch differ in length")
	}
	for _, record := range recordsOf(events) {
		m.now.output = append(m.now.output, emitted{port, record})
	}
}

// Add is the host's.
func (m *memory) Add(metric uint32, amount uint64) { m.now.metrics[metric] += float64(amount) }

// Set is the host's.
func (m *memory) Set(metric uint32, value float64) { m.now.metrics[metric] = value }

// Observe is the host's.
func (m *memory) Observe(metric uint32, values []float64) {
	for _, value := range values {
		m.now.metrics[metric] += value
	}
}

// Subtask is the host's.
func (m *memory) Subtask() host.Subtask {
	return host.Subtask{Index: 0, Parallelism: 1, MaxParallelism: 128}
}

// Now is the host's.
func (m *memory) Now() int64 { return m.clock }

func (m *memory) timers() []timerKey {
	all := slices.Collect(maps.Keys(m.now.timers))
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if a.domain != b.domain {
			return a.domain < b.domain
		}
		if a.time != b.time {
			return a.time < b.time
		}
		if a.timer != b.timer {
			return a.timer < b.timer
		}
		return a.key < b.key
	})
	return all
}

// due gives a batch of due timers: earliest first, one clock, one timer, at most one per key.
func (m *memory) due(watermark int64) []timerKey {
	var batch []timerKey
	for _, one := range m.timers() {
		limit := watermark
		if one.domain == host.ProcessingTime {
			limit = m.clock
		}
		if one.time > limit {
			continue
		}
		if len(batch) > 0 && (one.domain != batch[0].domain || one.timer != batch[0].timer) {
			break
		}
		if slices.ContainsFunc(batch, func(earlier timerKey) bool { return earlier.key == one.key }) {
			break
		}
		batch = append(batch, one)
	}
	return batch
}

func columnsOf(records []Record) *host.Batch {
	batch := &host.Batch{}
	headers := slices.ContainsFunc(records, func(r Record) bool { return len(r.Headers) > 0 })
	for _, r := range records {
		batch.Timestamps = append(batch.Timestamps, r.Time)
		batch.Keys.Push(bytes.Clone(r.Key))
		batch.Values.Push(bytes.Clone(r.Value))
		if headers {
			batch.Headers = guest.AppendEntry(batch.Headers, r.Headers)
		}
	}
	return batch
}

func recordsOf(events *host.Batch) (records []Record) {
	reader := guest.NewReader(events, 0, 0)
	for i := range events.Len() {
		e := reader.Read(i)
		record := Record{Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value), Time: e.Timestamp}
		for name, value := range e.Headers() {
			record.Headers = append(record.Headers, guest.Header{Name: name, Value: bytes.Clone(value)})
		}
		records = append(records, record)
	}
	return records
}
