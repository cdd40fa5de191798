// Metrics as fields: counted during the call, undone with a refused event, handed to the host once per call.

package guest

import "math"

// Counter only grows.
type Counter struct{ part counter }

type counter struct {
	Touch
	call        *Call
	metric      uint32
	kept, event uint64
}

// Gauge is the last value set.
type Gauge struct{ part gauge }

type gauge struct {
	Touch
	call                *Call
	metric              uint32
	kept, event         float64
	haveKept, haveEvent bool
}

// Histogram is a distribution of values.
type Histogram struct{ part histogram }

type histogram struct {
	Touch
	call   *Call
	metric uint32
	values []float64
	kept   int
}

func sum(a, b uint64) uint64 {
	if b > math.MaxUint64-a {
		return math.MaxUint64
	}
	return a + b
}

// Add adds to it.
func (c *Counter) Add(amount uint64) {
	p := &c.part
	p.call.Touch(p, &p.Touch)
	p.event = sum(p.event, amount)
}

// Set sets it.
func (g *Gauge) Set(value float64) {
	p := &g.part
	p.call.Touch(p, &p.Touch)
	p.event, p.haveEvent = value, true
}

// Observe notes a value.
func (h *Histogram) Observe(value float64) {
	p := &h.part
	p.call.Touch(p, &p.Touch)
	p.values = append(p.values, value)
}

func (c *counter) UndoEvent() { c.event = 0 }

func (c *counter) KeepEvent() { c.kept, c.event = sum(c.kept, c.event), 0 }

func (c *counter) WriteBack() {
	if c.kept > 0 {
		c.call.Host.Add(c.metric, c.kept)
	}
	c.kept = 0
}

func (c *counter) DropCall() { c.kept, c.event = 0, 0 }

func (g *gauge) UndoEvent() { g.haveEvent = false }

func (g *gauge) KeepEvent() { g.kept, g.haveKept, g.haveEvent = g.event, true, false }

func (g *gauge) WriteBack() {
	if g.haveKept {
		g.call.Host.Set(g.metric, g.kept)
	}
	g.haveKept = false
}

func (g *gauge) DropCall() { g.haveKept, g.haveEvent = false, false }

func (h *histogram) UndoEvent() { h.values = h.values[:h.kept] }

func (h *histogram) KeepEvent() { h.kept = len(h.values) }

func (h *histogram) WriteBack() {
	if len(h.values) > 0 {
		h.call.Host.Observe(h.metric, h.values)
	}
	h.DropCall()
}

func (h *histogram) DropCall() { h.values, h.kept = h.values[:0], 0 }

// TidemillField declares and opens it.
func (c *Counter) TidemillField(name string, d *Descriptor, opening *Opening) error {
	metric := NextKind(&d.Metrics, name, "counter")
	if opening != nil {
		c.part = counter{call: opening.Call, metric: metric}
		opening.Call.AddPart(&c.part)
	}
	return nil
}

// TidemillField declares and opens it.
func (g *Gauge) TidemillField(name string, d *Descriptor, opening *Opening) error {
	metric := NextKind(&d.Metrics, name, "gauge")
	if opening != nil {
		g.part = gauge{call: opening.Call, metric: metric}
		opening.Call.AddPart(&g.part)
	}
	return nil
}

// TidemillField declares and opens it.
func (h *Histogram) TidemillField(name string, d *Descriptor, opening *Opening) error {
	metric := NextKind(&d.Metrics, name, "histogram")
	if opening != nil {
		h.part = histogram{call: opening.Call, metric: metric}
		opening.Call.AddPart(&h.part)
	}
	return nil
}
