//go:build wasip1

// The arena: memory for what the host hands over during one call. It is used again by the next call, so slices into it
// are valid during the call only.

package host

import "unsafe"

const (
	chunkWords = 32 << 10 // 256 KiB
	// So many words of whole chunks stay between calls; what one large call needed beyond goes back to the collector.
	keptWords = 1 << 20 // 8 MiB
)

var (
	chunks        [][]uint64
	current, used int // which chunk, and how many of its words are taken
)

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	words := max(int(size+7)/8, 1)
	for current < len(chunks) && used+words > len(chunks[current]) {
		current, used = current+1, 0
	}
	if current == len(chunks) {
		chunks = append(chunks, make([]uint64, max(words, chunkWords)))
	}
	p := unsafe.Pointer(&chunks[current][used])
	used += words
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(p), size), unsafe.Slice((*byte)(old), oldSize))
	}
	return p
}

// EndCall makes the arena free for the next call.
func EndCall() {
	kept := 0
	for i, chunk := range chunks {
		if kept += len(chunk); kept > keptWords {
			clear(chunks[i:])
			chunks = chunks[:i]
			break
		}
	}
	current, used = 0, 0
}
