// The operator's configuration, its place in the run, and the log.

package guest

import (
	"encoding/json"
	"fmt"
	"strings"
	"tidemill/internal/host"
)

// Config is the `config` table of the pipeline file as a C, read when the operator opens; unknown keys are refused. A C
// whose pointer has SetDefaults() gets that called first.
type Config[C any] struct{ value C }

// Get gives the configuration.
func (c *Config[C]) Get() *C { return &c.value }

// TidemillField opens it.
func (c *Config[C]) TidemillField(_ string, d *Descriptor, opening *Opening) error {
	if opening == nil {
		return nil
	}
	c.value = *new(C)
	if defaults, ok := any(&c.value).(interface{ SetDefaults() }); ok {
		defaults.SetDefaults()
	}
	text := strings.TrimSpace(opening.Config)
	if text == "" || text == "null" {
		text = "{}"
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c.value); err != nil {
		return Fatalf("the configuration of operator `%s` does not fit: %v; mend its `config` in the pipeline file (it was %s)", opening.Name, err, text)
	}
	return nil
}

// Context says where and when a call runs: logical values, the same again on replay.
type Context struct{ call *Call }

// Now is the call's processing time, ms.
func (c *Context) Now() int64 { return c.call.Host.Now() }

// Subtask says which copy of the operator this is.
func (c *Context) Subtask() host.Subtask { return c.call.Host.Subtask() }

// TidemillField opens it.
func (c *Context) TidemillField(_ string, _ *Descriptor, opening *Opening) error {
	if opening != nil {
		c.call = opening.Call
	}
	return nil
}

// Logf writes a line to the operator's log. Lines survive a call whose other effects are dropped.
func Logf(level host.Level, format string, args ...any) {
	host.Log(level, fmt.Sprintf(format, args...))
}
