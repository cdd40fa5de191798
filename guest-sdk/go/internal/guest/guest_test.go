// Codecs, headers and the key index against bytes that are written down.

package guest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"tidemill/internal/host"
)

func roundTrip[T comparable](t *testing.T, codec Codec[T], value T) []byte {
	t.Helper()
	encoded, err := codec.Append(nil, &value)
	var back T
	if err == nil {
		err = codec.Read(encoded, &back)
	}
	if err != nil || back != value {
		t.Errorf("%v became %v by % x: %v", value, back, encoded, err)
	}
	if _, text := any(value).(string); !text {
		if err := codec.Read(append(encoded, 0), &back); err == nil {
			t.Errorf("%T reads bytes of another length", value)
		}
	}
	return encoded
}

func TestCodecsComeBackAndRefuseOtherShapes(t *testing.T) {
	if got := roundTrip(t, CodecOf[uint64](), 258); !bytes.Equal(got, []byte{2, 1, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("% x", got)
	}
	if got := roundTrip(t, CodecOf[int16](), -2); !bytes.Equal(got, []byte{0xfe, 0xff}) {
		t.Errorf("% x", got)
	}
	roundTrip(t, CodecOf[int64](), math.MinInt64)
	roundTrip(t, CodecOf[int](), -1)
	roundTrip(t, CodecOf[uint](), 1)
	roundTrip(t, CodecOf[uint32](), 1<<31)
	roundTrip(t, CodecOf[int32](), -1<<31)
	roundTrip(t, CodecOf[uint16](), 1<<15)
	roundTrip(t, CodecOf[uint8](), 255)
	roundTrip(t, CodecOf[int8](), -128)
	roundTrip(t, CodecOf[float64](), math.Pi)
	roundTrip(t, CodecOf[bool](), true)
	roundTrip(t, CodecOf[string](), "é")
	roundTrip(t, CodecOf[struct{ A, B int }](), struct{ A, B int }{1, 2})
}

func TestSubKeysSortAsTheirValues(t *testing.T) {
	codec, _ := SubKeyOf[int64]()
	var before []byte
	for _, n := range []int64{math.MinInt64, -300, -1, 0, 1, 255, 256, math.MaxInt64} {
		encoded := roundTrip(t, codec, n)
		if bytes.Compare(before, encoded) >= 0 {
			t.Errorf("%d: % x after % x", n, encoded, before)
		}
		before = encoded
	}
	if codec, ok := SubKeyOf[uint32](); !ok || !bytes.Equal(roundTrip(t, codec, 1), []byte{0, 0, 0, 1}) {
		t.Error("uint32")
	}
	if _, ok := SubKeyOf[float64](); ok {
		t.Error("a float is no sub-key")
	}
}

func TestHeadersAreThoseOfTheWitReadme(t *testing.T) {
	column := AppendEntry(AppendEntry(nil, nil), []Header{{"a", []byte("x")}})
	if !bytes.Equal(column, []byte{0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 'a', 1, 0, 0, 0, 'x'}) {
		t.Fatalf("% x", column)
	}
	if EntryLen(column) != 4 || EntryLen(column[4:]) != 14 {
		t.Errorf("%d, %d", EntryLen(column), EntryLen(column[4:]))
	}
	for cut := range column[4:] {
		entry := column[4 : 4+cut]
		eachHeader(entry, func(name string, _ []byte) bool {
			t.Errorf("%s in an entry cut at %d", name, cut)
			return true
		})
		if EntryLen(entry) != cut {
			t.Errorf("length of an entry cut at %d", cut)
		}
	}
}

func TestEqualKeysShareANumber(t *testing.T) {
	var index KeyIndex
	for range 2 {
		var column host.OptionalColumns
		for _, key := range [][]byte{[]byte("a"), {}, nil, []byte("a"), []byte("b")} {
			column.Push(key)
		}
		index.build(&column)
		if !slices.Equal(index.ids, []uint32{0, 1, noKey, 0, 2}) || index.Len() != 3 || string(index.Key(2)) != "b" {
			t.Errorf("%v", index.ids)
		}
	}
	var column host.OptionalColumns
	for i := range 5000 {
		column.Push(fmt.Appendf(nil, "key-%d", i%3000))
	}
	index.build(&column)
	for i, id := range index.ids {
		if id != uint32(i%3000) {
			t.Fatalf("event %d has key %d", i, id)
		}
	}
}

func TestFieldNamesBecomeKebabCase(t *testing.T) {
	for name, wanted := range map[string]string{"dayEnd": "day-end", "DayEnd": "day-end", "HTTPCount": "http-count", "a_b": "a-b", "top10Words": "top10-words", "out": "out"} {
		if got := kebab(name); got != wanted {
			t.Errorf("%s: %s", name, got)
		}
	}
}
