// The operator that every SDK has (guest-sdk/CONFORMANCE.md): its events say what to do with every capability.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tidemill"
)

type settings struct {
	Greeting string `json:"greeting"`
	Refuse   string `json:"refuse"`
}

func (s *settings) SetDefaults() { s.Greeting = "none" }

// Conformance has one handle of every kind.
type Conformance struct {
	config  tidemill.Config[settings]
	events  tidemill.Input
	other   tidemill.Input
	out     tidemill.Output
	side    tidemill.Output
	count   tidemill.Value[string]
	entries tidemill.Map[[]byte, []byte]
	items   tidemill.List[[]byte]
	brief   tidemill.Value[string]       `ttl:"100ms"`
	fresh   tidemill.Map[[]byte, []byte] `ttl:"100ms" clock:"event" refresh:"read-and-write"`
	recent  tidemill.List[[]byte]        `ttl:"100ms" clock:"event"`
	due     tidemill.EventTimer
	alarm   tidemill.ProcessingTimer
	seen    tidemill.Counter
	last    tidemill.Gauge
	sizes   tidemill.Histogram
	where   tidemill.Context

	memory int
}

// Open refuses if it is told to.
func (c *Conformance) Open() error {
	if why := c.config.Get().Refuse; why != "" {
		return tidemill.Fatal(why)
	}
	tidemill.Infof("opened")
	return nil
}

// Close says so.
func (c *Conformance) Close() error {
	tidemill.Infof("closed")
	return nil
}

// OnWatermark reports it on side.
func (c *Conformance) OnWatermark(watermark int64) error {
	if watermark == tidemill.EndOfInput {
		return c.side.EmitAt(0, nil, []byte("watermark end"))
	}
	return c.side.EmitAt(watermark, nil, fmt.Appendf(nil, "watermark %d", watermark))
}

// OnTimer reports it, and does what the key's entries ask for.
func (c *Conformance) OnTimer(t *tidemill.Timer) error {
	if err := c.out.Emit(t.Key, fmt.Appendf(nil, "%s %d", t.Name, t.Time)); err != nil {
		return err
	}
	_, refuse, err := c.entries.Get([]byte("refuse-timer"))
	if err != nil {
		return err
	}
	if refuse {
		if _, err := c.counted(); err != nil {
			return err
		}
		return tidemill.Reject("timer refused")
	}
	_, again, err := c.entries.Get([]byte("again"))
	if err != nil || !again {
		return err
	}
	return errors.Join(c.due.Register(t.Time+10), c.entries.Delete([]byte("again")))
}

// counted is count + 1, stored as text.
func (c *Conformance) counted() (string, error) { return oneMore(&c.count) }

func oneMore(count *tidemill.Value[string]) (string, error) {
	text, there, err := count.Get()
	if err != nil {
		return "", err
	}
	n := 0
	if there {
		if n, err = strconv.Atoi(text); err != nil {
			return "", tidemill.Fatalf("count holds %q", text)
		}
	}
	text = strconv.Itoa(n + 1)
	return text, count.Set(text)
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func joined(entries []tidemill.Entry[[]byte, []byte]) []byte {
	var b bytes.Buffer
	for i, e := range entries {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(e.Key)
		b.WriteByte('=')
		b.Write(e.Value)
	}
	return append([]byte{}, b.Bytes()...)
}

// ProcessEvent does what the event says.
func (c *Conformance) ProcessEvent(e *tidemill.Event) error {
	if e.Value == nil {
		return c.out.Forward(e)
	}
	if !utf8.Valid(e.Value) {
		return tidemill.Reject("unknown command: not UTF-8")
	}
	name, rest, _ := strings.Cut(string(e.Value), " ")
	if command, ok := commands[name]; ok {
		return command(c, e, rest)
	}
	return tidemill.Rejectf("unknown command: %s", name)
}

type command = func(c *Conformance, e *tidemill.Event, rest string) error

// number hands a decimal argument on.
func number(do func(c *Conformance, e *tidemill.Event, n int64) error) command {
	return func(c *Conformance, e *tidemill.Event, rest string) error {
		n, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return err
		}
		return do(c, e, n)
	}
}

// says emits what a command gives, as V.
func says(give func(c *Conformance, e *tidemill.Event, rest string) (string, error)) command {
	return func(c *Conformance, e *tidemill.Event, rest string) error {
		text, err := give(c, e, rest)
		if err != nil {
			return err
		}
		return c.out.Emit(e.Key, []byte(text))
	}
}

func countAndEmit(c *Conformance, e *tidemill.Event) error {
	text, err := c.counted()
	if err != nil {
		return err
	}
	return c.out.Emit(e.Key, []byte(text))
}

var commands map[string]command

func init() {
	commands = map[string]command{
		"echo": func(c *Conformance, e *tidemill.Event, _ string) error { return c.out.Forward(e) },
		"side": func(c *Conformance, e *tidemill.Event, rest string) error {
			return c.side.EmitAt(e.Timestamp+1, []byte("side"), []byte(rest))
		},
		"keyless":   func(c *Conformance, _ *tidemill.Event, rest string) error { return c.out.Emit(nil, []byte(rest)) },
		"tombstone": func(c *Conformance, e *tidemill.Event, _ string) error { return c.out.Emit(e.Key, nil) },
		"headers": func(c *Conformance, e *tidemill.Event, _ string) error {
			headers := []tidemill.Header{{Name: "x", Value: []byte{0, 0xff}}}
			for name, value := range e.Headers() {
				headers = append([]tidemill.Header{{Name: name, Value: value}}, headers...)
			}
			return c.out.EmitWithHeaders(e.Timestamp, e.Key, []byte("ok"), headers...)
		},
		"input": says(func(c *Conformance, e *tidemill.Event, _ string) (string, error) {
			if c.other.Is(e) {
				return "other", nil
			}
			return "events", nil
		}),
		"watermark": says(func(_ *Conformance, e *tidemill.Event, _ string) (string, error) {
			switch e.Watermark {
			case tidemill.NoWatermark:
				return "none", nil
			case tidemill.EndOfInput:
				return "end", nil
			}
			return strconv.FormatInt(e.Watermark, 10), nil
		}),
		"context": says(func(c *Conformance, _ *tidemill.Event, _ string) (string, error) {
			s := c.where.Subtask()
			return fmt.Sprintf("%d/%d/%d %d", s.Index, s.Parallelism, s.MaxParallelism, c.where.Now()), nil
		}),
		"greeting": says(func(c *Conformance, _ *tidemill.Event, _ string) (string, error) { return c.config.Get().Greeting, nil }),
		"many": number(func(c *Conformance, e *tidemill.Event, n int64) error {
			for i := range n {
				if err := c.out.Emit(e.Key, strconv.AppendInt(nil, i, 10)); err != nil {
					return err
				}
			}
			return nil
		}),
		"size":  number(func(c *Conformance, e *tidemill.Event, n int64) error { return c.out.Emit(e.Key, pattern(int(n))) }),
		"count": func(c *Conformance, e *tidemill.Event, _ string) error { return countAndEmit(c, e) },
		"clear": func(c *Conformance, e *tidemill.Event, _ string) error {
			return errors.Join(c.count.Clear(), c.out.Emit(e.Key, []byte("cleared")))
		},
		"put": func(c *Conformance, _ *tidemill.Event, rest string) error {
			subKey, value, _ := strings.Cut(rest, " ")
			return c.entries.Put([]byte(subKey), []byte(value))
		},
		"get": says(func(c *Conformance, _ *tidemill.Event, rest string) (string, error) {
			value, there, err := c.entries.Get([]byte(rest))
			if !there {
				value = []byte("-")
			}
			return string(value), err
		}),
		"remove": func(c *Conformance, _ *tidemill.Event, rest string) error { return c.entries.Delete([]byte(rest)) },
		"entries": says(func(c *Conformance, _ *tidemill.Event, _ string) (string, error) {
			entries, err := c.entries.Entries()
			return string(joined(entries)), err
		}),
		"range": says(func(c *Conformance, _ *tidemill.Event, rest string) (string, error) {
			from, to, _ := strings.Cut(rest, " ")
			entries, err := c.entries.Range([]byte(from), []byte(to))
			return string(joined(entries)), err
		}),
		"clear-entries": func(c *Conformance, _ *tidemill.Event, _ string) error { return c.entries.Clear() },
		"brief":         says(func(c *Conformance, _ *tidemill.Event, _ string) (string, error) { return oneMore(&c.brief) }),
		"keep": func(c *Conformance, _ *tidemill.Event, rest string) error {
			return c.fresh.Put([]byte(rest), []byte("kept"))
		},
		"kept": says(func(c *Conformance, _ *tidemill.Event, rest string) (string, error) {
			value, there, err := c.fresh.Get([]byte(rest))
			if !there {
				value = []byte("-")
			}
			return string(value), err
		}),
		"note": says(func(c *Conformance, _ *tidemill.Event, rest string) (string, error) {
			if err := c.recent.Push([]byte(rest)); err != nil {
				return "", err
			}
			all, err := c.recent.Get()
			return string(bytes.Join(all, []byte(","))), err
		}),
		"bytes": func(c *Conformance, e *tidemill.Event, _ string) error {
			for b := 255; b >= 0; b-- {
				if err := c.entries.Put([]byte{byte(b)}, []byte{}); err != nil {
					return err
				}
			}
			entries, err := c.entries.Entries()
			if err != nil {
				return err
			}
			all := []byte{}
			for _, entry := range entries {
				all = append(all, entry.Key...)
			}
			return c.out.Emit(e.Key, all)
		},
		"blob": number(func(c *Conformance, e *tidemill.Event, n int64) error {
			if err := c.entries.Put([]byte("blob"), pattern(int(n))); err != nil {
				return err
			}
			blob, _, err := c.entries.Get([]byte("blob"))
			if err != nil {
				return err
			}
			return c.out.Emit(e.Key, blob)
		}),
		"push": func(c *Conformance, _ *tidemill.Event, rest string) error { return c.items.Push([]byte(rest)) },
		"items": says(func(c *Conformance, _ *tidemill.Event, _ string) (string, error) {
			items, err := c.items.Get()
			return string(bytes.Join(items, []byte(","))), err
		}),
		"clear-items":  func(c *Conformance, _ *tidemill.Event, _ string) error { return c.items.Clear() },
		"due":          number(func(c *Conformance, _ *tidemill.Event, n int64) error { return c.due.Register(n) }),
		"cancel-due":   number(func(c *Conformance, _ *tidemill.Event, n int64) error { return c.due.Cancel(n) }),
		"alarm":        number(func(c *Conformance, _ *tidemill.Event, n int64) error { return c.alarm.Register(n) }),
		"cancel-alarm": number(func(c *Conformance, _ *tidemill.Event, n int64) error { return c.alarm.Cancel(n) }),
		"metrics": func(c *Conformance, _ *tidemill.Event, _ string) error {
			c.seen.Add(3)
			c.last.Set(2.5)
			c.sizes.Observe(1)
			c.sizes.Observe(2)
			return nil
		},
		"log": func(_ *Conformance, _ *tidemill.Event, _ string) error {
			for _, logf := range []func(string, ...any){tidemill.Tracef, tidemill.Debugf, tidemill.Infof, tidemill.Warnf, tidemill.Errorf} {
				logf("a line")
			}
			return nil
		},
		"reject": func(c *Conformance, e *tidemill.Event, rest string) error {
			err := errors.Join(countAndEmit(c, e), c.entries.Put([]byte("rejected"), []byte("rejected")),
				c.items.Push([]byte("rejected")), c.due.Register(e.Timestamp+5))
			c.seen.Add(100)
			if err != nil {
				return err
			}
			return tidemill.Reject(rest)
		},
		"raise": func(c *Conformance, e *tidemill.Event, _ string) error {
			if err := countAndEmit(c, e); err != nil {
				return err
			}
			panic("raised on purpose")
		},
		"retry": func(c *Conformance, e *tidemill.Event, rest string) error {
			if err := countAndEmit(c, e); err != nil {
				return err
			}
			if rest == "" {
				return tidemill.Retry()
			}
			ms, err := strconv.Atoi(rest)
			if err != nil {
				return err
			}
			return tidemill.RetryAfter(time.Duration(ms) * time.Millisecond)
		},
		"fatal": func(c *Conformance, e *tidemill.Event, rest string) error {
			if err := countAndEmit(c, e); err != nil {
				return err
			}
			return tidemill.Fatal(rest)
		},
		"memory": says(func(c *Conformance, _ *tidemill.Event, _ string) (string, error) {
			c.memory++
			return strconv.Itoa(c.memory), nil
		}),
	}
	tidemill.Register(&Conformance{})
}

func main() {}
