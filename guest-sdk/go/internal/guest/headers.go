// The headers column of a batch (wit/README.md): count, then length, name, length, value each; numbers are u32,
// little-endian.

package guest

import "encoding/binary"

// HeadersMax is the most headers of one event.
const HeadersMax = 1024

func takeU32(b []byte) (uint32, []byte, bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return binary.LittleEndian.Uint32(b), b[4:], true
}

func takeBytes(b []byte) (taken, rest []byte, ok bool) {
	n, rest, ok := takeU32(b)
	if !ok || uint64(n) > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:n:n], rest[n:], true
}

// eachHeader walks an entry until `yield` has enough; what is cut short is left out.
func eachHeader(entry []byte, yield func(string, []byte) bool) {
	count, rest, ok := takeU32(entry)
	for ; ok && count > 0; count-- {
		var name, value []byte
		if name, rest, ok = takeBytes(rest); !ok {
			return
		}
		if value, rest, ok = takeBytes(rest); !ok || !yield(string(name), value) {
			return
		}
	}
}

// EntryLen is how many bytes the first entry of a column takes. The host has checked it; one that is cut short takes all.
func EntryLen(column []byte) int {
	count, rest, ok := takeU32(column)
	for n := uint64(count) * 2; ok && n > 0; n-- {
		_, rest, ok = takeBytes(rest)
	}
	if !ok {
		return len(column)
	}
	return len(column) - len(rest)
}

// Header is one header of an event.
type Header struct {
	Name  string
	Value []byte
}

// AppendEntry appends an event's entry to a column.
func AppendEntry(column []byte, headers []Header) []byte {
	column = binary.LittleEndian.AppendUint32(column, uint32(len(headers)))
	for _, h := range headers {
		column = binary.LittleEndian.AppendUint32(column, uint32(len(h.Name)))
		column = append(column, h.Name...)
		column = binary.LittleEndian.AppendUint32(column, uint32(len(h.Value)))
		column = append(column, h.Value...)
	}
	return column
}
