// The cache under value and map state: numbered slots whose bytes lie in one arena. Old bytes stay where they are until the
// event that overwrote them has succeeded, so undoing costs a copy of a few numbers.

package tidemill

// tidyBytes is how large the arena is before it is tidied between events, once half of it is waste.
const tidyBytes = 256 << 10

type slot struct {
	at, len uint32
	known   bool // read from the host or written in this call
	present bool
	dirty   bool // written in this call
}

type undoneSlot struct {
	id  uint32
	old slot
}

type slots struct {
	arena  []byte
	slots  []slot
	undo   []undoneSlot
	tidyAt int
}

func (s *slots) resize(n int) {
	for len(s.slots) < n {
		s.slots = append(s.slots, slot{})
	}
}

// get gives a known slot's bytes; nil = nothing stored.
func (s *slots) get(id uint32) []byte {
	at := s.slots[id]
	if !at.present {
		return nil
	}
	end := at.at + at.len
	return s.arena[at.at:end:end]
}

// fill notes what the host has.
func (s *slots) fill(id uint32, bytes []byte) {
	at := len(s.arena)
	s.arena = append(s.start(), bytes...)
	s.slots[id] = slot{uint32(at), uint32(len(bytes)), true, bytes != nil, false}
}

// start gives the arena, to which the bytes of a slot are appended for set.
func (s *slots) start() []byte {
	if s.arena == nil {
		s.arena = make([]byte, 0, 1024)
	}
	return s.arena
}

// set writes a slot: `grown` is what start gave and the bytes after it.
func (s *slots) set(id uint32, grown []byte) {
	at := len(s.arena)
	s.arena = grown
	s.replace(id, slot{uint32(at), uint32(len(grown) - at), true, true, true})
}

// delete deletes a slot's value.
func (s *slots) delete(id uint32) { s.replace(id, slot{known: true, dirty: true}) }

func (s *slots) replace(id uint32, to slot) {
	s.undo = append(s.undo, undoneSlot{id, s.slots[id]})
	s.slots[id] = to
}

func (s *slots) undoEvent() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.slots[s.undo[i].id] = s.undo[i].old
	}
	s.undo = s.undo[:0]
}

func (s *slots) keepEvent() {
	s.undo = s.undo[:0]
	if len(s.arena) > max(s.tidyAt, tidyBytes) {
		s.tidy()
	}
}

func (s *slots) tidy() {
	live := 0
	for _, slot := range s.slots {
		live += int(slot.len)
	}
	arena := make([]byte, 0, 2*live)
	for i, slot := range s.slots {
		at := len(arena)
		arena = append(arena, s.arena[slot.at:slot.at+slot.len]...)
		s.slots[i].at = uint32(at)
	}
	s.arena, s.tidyAt = arena, 2*live
}

func (s *slots) clear() { s.arena, s.slots, s.undo = s.arena[:0], s.slots[:0], s.undo[:0] }
