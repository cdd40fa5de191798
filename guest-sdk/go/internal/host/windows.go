//go:build wasip1

// Windows as `finish` is given them.

package host

import "unsafe"

// Windows takes n windows at an address.
func Windows(at, n uint32) []Window {
	if n == 0 {
		return nil
	}
	// Two numbers of 64 bits and one of 32, padded to 24 bytes: Window as Go lays it out.
	return unsafe.Slice((*Window)(unsafe.Add(ptr(nil), at)), n)
}

var _ [24]byte = [unsafe.Sizeof(Window{})]byte{}

// PutNumbers lays a buffer of numbers out in two words.
func PutNumbers(w []uint32, numbers []uint32) { w[0], w[1] = word(addr(numbers)), size(numbers, 4) }
