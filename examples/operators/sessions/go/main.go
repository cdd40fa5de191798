// Sessions per key: a run of events without a gap comes out as one result, when the watermark says that nothing can join it
// any more. Events may come out of order, so a key has several open sessions, which grow and grow together.
package main

import (
	"slices"

	"tidemill"
)

// Settings are the `config` table of the pipeline file.
type Settings struct {
	// GapMinutes without an event end a session.
	GapMinutes int64 `json:"gap_minutes"`
}

// Session is a run of events; also the row that goes out.
type Session struct {
	Start int64  `json:"start"`
	End   int64  `json:"end"`
	Count uint64 `json:"count"`
}

// Sessions keeps the open sessions of a key, in order of time, and a timer for the end of each.
type Sessions struct {
	config   tidemill.Config[Settings]
	open     tidemill.Value[[]Session]
	over     tidemill.EventTimer
	sessions tidemill.Output
}

func (s *Sessions) gap() int64 { return s.config.Get().GapMinutes * 60_000 }

// last is the last moment at which an event could still join.
func (s *Sessions) last(session Session) int64 { return session.End + s.gap() - 1 }

// ProcessEvent joins an event to the sessions that it touches.
func (s *Sessions) ProcessEvent(e *tidemill.Event) error {
	open, _, err := s.open.Get()
	if err != nil {
		return err
	}
	session := Session{e.Timestamp, e.Timestamp, 1}
	var apart []Session
	for _, other := range open {
		if other.End+s.gap() <= e.Timestamp || e.Timestamp+s.gap() <= other.Start {
			apart = append(apart, other)
			continue
		}
		if err := s.over.Cancel(s.last(other)); err != nil {
			return err
		}
		session = Session{min(session.Start, other.Start), max(session.End, other.End), session.Count + other.Count}
	}
	if s.last(session) <= e.Watermark {
		return tidemill.Reject("late: the session that it belongs to is over; allow more out_of_orderness")
	}
	if err := s.over.Register(s.last(session)); err != nil {
		return err
	}
	at, _ := slices.BinarySearchFunc(apart, session, func(a, b Session) int { return int(a.Start - b.Start) })
	return s.open.Set(slices.Insert(apart, at, session))
}

// OnTimer gives out the sessions that are over.
func (s *Sessions) OnTimer(t *tidemill.Timer) error {
	sessions, _, err := s.open.Take()
	if err != nil {
		return err
	}
	var open []Session
	for _, session := range sessions {
		if s.last(session) > t.Time {
			open = append(open, session)
		} else if err := s.sessions.EmitJSON(t.Key, session); err != nil {
			return err
		}
	}
	if len(open) == 0 {
		return nil
	}
	return s.open.Set(open)
}

func init() { tidemill.Register(&Sessions{}) }

func main() {}
