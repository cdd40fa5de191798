// The distinct keys of a call: each event's key is hashed once, and every state then works with small numbers.

package guest

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"tidemill/internal/host"
)

// noKey stands for "this event has no key".
const noKey = ^uint32(0)

// KeyIndex numbers the distinct keys of one call in the order in which they come. The memory is used again.
type KeyIndex struct {
	ids  []uint32
	keys host.Columns
	// Open addressing, at most half full, a power of two: upper half of the hash | number + 1; 0 = free.
	table []uint64
}

func (k *KeyIndex) build(column *host.OptionalColumns) {
	n := column.Len()
	k.ids = k.ids[:0]
	k.keys.Clear()
	size := 1 << bits.Len(uint(n)*2)
	if size <= cap(k.table) {
		k.table = k.table[:size]
		clear(k.table)
	} else {
		k.table = make([]uint64, size)
	}
	for i := range n {
		id := noKey
		if key := column.Get(i); key != nil {
			id = k.number(key)
		}
		k.ids = append(k.ids, id)
	}
}

func (k *KeyIndex) number(key []byte) uint32 {
	h := hash(key)
	mask := uint64(len(k.table) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		entry := k.table[at]
		if entry == 0 {
			next := uint32(k.keys.Len())
			k.table[at] = h>>32<<32 | uint64(next+1)
			k.keys.Push(key)
			return next
		}
		if entry>>32 == h>>32 {
			if id := uint32(entry) - 1; bytes.Equal(k.keys.Get(int(id)), key) {
				return id
			}
		}
	}
}

// hash has no seed: the guest has no randomness, and replay must be exact.
func hash(key []byte) uint64 {
	const m = 0x9e37_79b9_7f4a_7c15
	h := uint64(len(key)) * m
	for len(key) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(key)) * m
		h ^= h >> 29
		key = key[8:]
	}
	var rest uint64
	for i, b := range key {
		rest |= uint64(b) << (8 * i)
	}
	h = (h ^ rest) * m
	h ^= h >> 32
	h *= m
	return h ^ h>>29
}

// Len is how many distinct keys there are.
func (k *KeyIndex) Len() int { return k.keys.Len() }

// Key gives the key of a number.
func (k *KeyIndex) Key(id uint32) []byte { return k.keys.Get(int(id)) }

// All gives all keys, in order of their numbers.
func (k *KeyIndex) All() *host.Columns { return &k.keys }
