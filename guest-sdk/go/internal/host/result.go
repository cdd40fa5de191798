//go:build wasip1

// What the exports give back, laid out in memory that stays put until the next call.

package host

// result holds what an export answered: the words that the host reads, and what they point to.
var result struct {
	words   [20]uint32
	kept    []any
	entries []uint32
}

// Ok begins the answer of a call that succeeded: `words` of payload follow the first.
func Ok() []uint32 {
	result.words = [20]uint32{}
	result.kept = result.kept[:0]
	EndCall()
	return result.words[1:]
}

// Keep keeps something alive that the answer points to.
func Keep(what any) { result.kept = append(result.kept, what) }

// Answer gives the answer to the host.
func Answer() *uint32 { return &result.words[0] }

// Fatal answers that the call failed for good.
func Fatal(reason string) *uint32 {
	b := []byte(reason)
	w := Ok()
	result.words[0] = 1
	w[0] = 1
	PutBytes(w[1:], b)
	Keep(b)
	return Answer()
}

// Retry answers that the call is to be made again.
func Retry(delayed bool, afterMs uint32) *uint32 {
	w := Ok()
	result.words[0] = 1
	if delayed {
		w[1], w[2] = 1, afterMs
	}
	return Answer()
}

// PutRejections lays rejections out in two words of the answer.
func PutRejections(w []uint32, n int, rejection func(int) (index uint32, reason string)) {
	result.entries = result.entries[:0]
	for i := range n {
		index, reason := rejection(i)
		b := []byte(reason)
		Keep(b)
		entry := [3]uint32{index}
		PutBytes(entry[1:], b)
		result.entries = append(result.entries, entry[:]...)
	}
	w[0], w[1] = word(addr(result.entries)), uint32(n)
}

// String answers with a string and nothing around it.
func String(s string) *uint32 {
	b := []byte(s)
	Ok()
	PutBytes(result.words[:], b)
	Keep(b)
	return Answer()
}
