// What an operator says of itself. The fields of its struct are the declaration: a field's type says what it is, its name
// in kebab case (or its tag `tidemill:"name"`) what the pipeline file and the host call it. A state's tags
// `ttl:"10s" clock:"event" refresh:"read-and-write"` say how long its entries last.

package guest

import (
	"encoding/json"
	"reflect"
	"strings"
	"unicode"
	"unsafe"
)

// Descriptor is what `describe` gives the host (wit/descriptor.schema.json).
type Descriptor struct {
	Descriptor int             `json:"descriptor"`
	Name       string          `json:"name"`
	Version    string          `json:"version"`
	Inputs     []Named         `json:"inputs"`
	Outputs    []Named         `json:"outputs"`
	States     []Kind          `json:"states"`
	Timers     []Named         `json:"timers"`
	Metrics    []Kind          `json:"metrics"`
	Wants      Wants           `json:"wants"`
	Config     json.RawMessage `json:"config,omitempty"`
}

// Named is an input, an output or a timer.
type Named struct {
	Name string `json:"name"`
}

// Kind is a state or a metric; states may have a time to live.
type Kind struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	TTL  *TTL   `json:"ttl,omitempty"`
}

// Wants is what the host should call beyond `process` and `on-timers`.
type Wants struct {
	Watermarks bool `json:"watermarks"`
}

// JSON is its form for the host.
func (d *Descriptor) JSON() (string, error) {
	b, err := json.Marshal(d)
	return string(b), err
}

// Opening is what a field gets when the operator opens.
type Opening struct {
	Call   *Call
	Config string
	Name   string // the operator's
}

// Field is a handle in an operator's struct: it adds itself to the descriptor and takes its index from it, both times in
// the order of the fields. Opening is nil when the operator is only described.
type Field interface {
	TidemillField(name string, d *Descriptor, opening *Opening) error
}

// Option changes what an operator says of itself.
type Option func(*Descriptor)

// Declare walks the fields of an operator and gives its descriptor; with an opening it opens them too.
func Declare(operator any, options []Option, opening *Opening) (*Descriptor, error) {
	d := &Descriptor{Descriptor: 1, Inputs: []Named{}, Outputs: []Named{}, States: []Kind{}, Timers: []Named{}, Metrics: []Kind{}}
	value := reflect.ValueOf(operator)
	if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.Struct {
		return nil, Fatalf("an operator is a pointer to a struct, not %T", operator)
	}
	d.Name = kebab(value.Elem().Type().Name())
	for _, option := range options {
		option(d)
	}
	if opening != nil {
		opening.Name = d.Name
	}
	if err := fields(value.Elem(), d, opening); err != nil {
		return nil, err
	}
	if len(d.Inputs) == 0 {
		d.Inputs = append(d.Inputs, Named{"events"})
	}
	return d, nil
}

func fields(value reflect.Value, d *Descriptor, opening *Opening) error {
	for i := range value.NumField() {
		field := value.Type().Field(i)
		// Handles may be unexported, which reflection alone does not hand out.
		at := reflect.NewAt(field.Type, unsafe.Pointer(value.Field(i).UnsafeAddr()))
		handle, ok := at.Interface().(Field)
		if !ok {
			if field.Anonymous && field.Type.Kind() == reflect.Struct {
				if err := fields(at.Elem(), d, opening); err != nil {
					return err
				}
			}
			continue
		}
		name := field.Tag.Get("tidemill")
		if name == "" {
			name = kebab(field.Name)
		}
		states := len(d.States)
		if err := handle.TidemillField(name, d, opening); err != nil {
			return err
		}
		ttl, err := ttlOf(field.Name, field.Tag)
		if err != nil {
			return err
		}
		if ttl != nil && len(d.States) == states {
			return Fatalf("field %s has a ttl, and is no state", field.Name)
		}
		if ttl != nil {
			d.States[states].TTL = ttl
		}
	}
	return nil
}

// kebab makes dayEnd and DayEnd day-end.
func kebab(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if r == '_' {
			b.WriteByte('-')
			continue
		}
		if unicode.IsUpper(r) {
			after := i > 0 && (unicode.IsLower(runes[i-1]) || unicode.IsDigit(runes[i-1]))
			before := i > 0 && unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if after || before {
				b.WriteByte('-')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Next adds a name and gives its index.
func Next(list *[]Named, name string) uint32 {
	*list = append(*list, Named{name})
	return uint32(len(*list) - 1)
}

// NextKind adds a name of a kind and gives its index.
func NextKind(list *[]Kind, name, kind string) uint32 {
	*list = append(*list, Kind{Name: name, Kind: kind})
	return uint32(len(*list) - 1)
}
