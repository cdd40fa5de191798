// How typed state becomes bytes, by its type: numbers and bools fixed-width and little-endian, strings and []byte as they
// are, a type with its own methods by them, everything else as JSON. Sub-keys sort as their values do.

package guest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
)

// StateCodec is a type that says itself how it is stored; implement it on the pointer.
type StateCodec interface {
	AppendState(to []byte) ([]byte, error)
	ReadState(from []byte) error
}

// SubKeyCodec is a type that says itself how it is a sub-key: its bytes must sort as its values do.
type SubKeyCodec interface {
	AppendSubKey(to []byte) []byte
	ReadSubKey(from []byte) error
}

// Codec makes bytes of a T and back.
type Codec[T any] struct {
	Append func(to []byte, value *T) ([]byte, error)
	Read   func(from []byte, value *T) error
}

// as makes a Codec[T] of a Codec[U] where T is U.
func as[T, U any](append func([]byte, *U) ([]byte, error), read func([]byte, *U) error) Codec[T] {
	return Codec[T]{any(append).(func([]byte, *T) ([]byte, error)), any(read).(func([]byte, *T) error)}
}

var errShape = errors.New("bytes of another length")

type integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

func number[T any, U integer](width int) Codec[T] {
	return as[T](func(to []byte, value *U) ([]byte, error) {
		n := uint64(*value)
		for range width {
			to, n = append(to, byte(n)), n>>8
		}
		return to, nil
	}, func(from []byte, value *U) error {
		if len(from) != width {
			return errShape
		}
		var n uint64
		for i, b := range from {
			n |= uint64(b) << (8 * i)
		}
		*value = U(n)
		return nil
	})
}

func number8[T any, U integer]() Codec[T] {
	return as[T](func(to []byte, value *U) ([]byte, error) {
		return binary.LittleEndian.AppendUint64(to, uint64(*value)), nil
	}, func(from []byte, value *U) error {
		if len(from) != 8 {
			return errShape
		}
		*value = U(binary.LittleEndian.Uint64(from))
		return nil
	})
}

// CodecOf picks the codec of a type.
func CodecOf[T any]() Codec[T] {
	if _, ok := any(new(T)).(StateCodec); ok {
		return Codec[T]{
			func(to []byte, value *T) ([]byte, error) { return any(value).(StateCodec).AppendState(to) },
			func(from []byte, value *T) error { return any(value).(StateCodec).ReadState(from) },
		}
	}
	switch any(*new(T)).(type) {
	case uint64:
		return number8[T, uint64]()
	case int64:
		return number8[T, int64]()
	case int:
		return number8[T, int]()
	case uint:
		return number8[T, uint]()
	case uint32:
		return number[T, uint32](4)
	case int32:
		return number[T, int32](4)
	case uint16:
		return number[T, uint16](2)
	case int16:
		return number[T, int16](2)
	case uint8:
		return number[T, uint8](1)
	case int8:
		return number[T, int8](1)
	case float64:
		return as[T](func(to []byte, value *float64) ([]byte, error) {
			return binary.LittleEndian.AppendUint64(to, math.Float64bits(*value)), nil
		}, func(from []byte, value *float64) error {
			if len(from) != 8 {
				return errShape
			}
			*value = math.Float64frombits(binary.LittleEndian.Uint64(from))
			return nil
		})
	case bool:
		return as[T](func(to []byte, value *bool) ([]byte, error) {
			if *value {
				return append(to, 1), nil
			}
			return append(to, 0), nil
		}, func(from []byte, value *bool) error {
			if len(from) != 1 || from[0] > 1 {
				return errShape
			}
			*value = from[0] == 1
			return nil
		})
	case string:
		return as[T](func(to []byte, value *string) ([]byte, error) { return append(to, *value...), nil },
			func(from []byte, value *string) error { *value = string(from); return nil })
	case []byte:
		return as[T](func(to []byte, value *[]byte) ([]byte, error) { return append(to, *value...), nil },
			func(from []byte, value *[]byte) error { *value = append([]byte{}, from...); return nil })
	}
	var unstorable error
	if t := reflect.TypeFor[T](); t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if field := t.Field(i); !field.IsExported() && !field.Anonymous {
				unstorable = fmt.Errorf("JSON would leave out the field %s of %v: write it with a capital, or give the type AppendState and ReadState", field.Name, t)
			}
		}
	}
	return Codec[T]{func(to []byte, value *T) ([]byte, error) {
		if unstorable != nil {
			return to, unstorable
		}
		b, err := json.Marshal(value)
		return append(to, b...), err
	}, func(from []byte, value *T) error { return json.Unmarshal(from, value) }}
}

// SubKeyOf picks how a type is a sub-key; false = it cannot be one.
func SubKeyOf[T any]() (Codec[T], bool) {
	if _, ok := any(new(T)).(SubKeyCodec); ok {
		return Codec[T]{
			func(to []byte, value *T) ([]byte, error) { return any(value).(SubKeyCodec).AppendSubKey(to), nil },
			func(from []byte, value *T) error { return any(value).(SubKeyCodec).ReadSubKey(from) },
		}, true
	}
	switch any(*new(T)).(type) {
	case uint64:
		return ordered[T, uint64](8, false), true
	case int64:
		return ordered[T, int64](8, true), true
	case int:
		return ordered[T, int](8, true), true
	case uint:
		return ordered[T, uint](8, false), true
	case uint32:
		return ordered[T, uint32](4, false), true
	case int32:
		return ordered[T, int32](4, true), true
	case uint16:
		return ordered[T, uint16](2, false), true
	case uint8:
		return ordered[T, uint8](1, false), true
	case string, []byte:
		return CodecOf[T](), true
	}
	return Codec[T]{}, false
}

// ordered puts the highest byte first, and flips the sign so that negative numbers come before the others.
func ordered[T any, U integer](width int, signed bool) Codec[T] {
	flip := uint64(0)
	if signed {
		flip = 1 << (8*width - 1)
	}
	return as[T](func(to []byte, value *U) ([]byte, error) {
		n := uint64(*value) ^ flip
		for i := width - 1; i >= 0; i-- {
			to = append(to, byte(n>>(8*i)))
		}
		return to, nil
	}, func(from []byte, value *U) error {
		if len(from) != width {
			return errShape
		}
		var n uint64
		for _, b := range from {
			n = n<<8 | uint64(b)
		}
		*value = U(n ^ flip)
		return nil
	})
}

// CannotRead is the error of stored bytes that are no such value: never an event's fault.
func CannotRead(state string, why error) error {
	return Fatalf("state `%s`: what is stored cannot be read as the declared type: %v; rename the state to start it empty, "+
		"or go back to the version of the operator that wrote it", state, why)
}

// CannotWrite is the error of a value that has no bytes.
func CannotWrite(state string, why error) error {
	return Fatalf("state `%s`: the value cannot be encoded: %v", state, why)
}

// typeName names a type for an error.
func typeName[T any]() string { return fmt.Sprintf("%T", *new(T)) }

// NotASubKey is the error of a map whose sub-keys have no order.
func NotASubKey[T any](state string) error {
	return Fatalf("state `%s`: %s is no sub-key: use an integer, string or []byte, or give it AppendSubKey and ReadSubKey", state, typeName[T]())
}
