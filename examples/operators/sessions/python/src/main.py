"""Sessions per key: a run of events without a gap comes out as one result, when the watermark says that nothing can join it
any more. Events may come out of order, so a key has several open sessions, which grow and grow together."""

from dataclasses import dataclass

from tidemill import Config, Event, EventTimer, Operator, Output, Reject, Timer, Value, export


@dataclass
class Settings:
    """The `config` table of the pipeline file: so long without an event ends a session."""

    gap_minutes: int


@export
class Sessions(Operator, version="0.1.0"):
    """The open sessions of a key, as [start, end, count] in order of time, and a timer for the end of each."""

    settings = Config(Settings)
    open_sessions = Value(list, default=list, name="open")
    over = EventTimer()
    sessions = Output()

    def open(self) -> None:
        self.gap_ms = self.settings.gap_minutes * 60_000

    def process(self, event: Event) -> None:
        start = end = time = event.timestamp
        count = 1
        apart = []
        for session in self.open_sessions.get():
            other_start, other_end, other_count = session
            if other_end + self.gap_ms <= time or time + self.gap_ms <= other_start:
                apart.append(session)
                continue
            self.over.cancel(self.last_ms(other_end))
            start, end, count = min(start, other_start), max(end, other_end), count + other_count
        if self.last_ms(end) <= event.watermark:
            raise Reject("late: the session that it belongs to is over; allow more out_of_orderness")
        self.over.register(self.last_ms(end))
        self.open_sessions.set(sorted([*apart, [start, end, count]]))

    def last_ms(self, end: int) -> int:
        """The last moment at which an event could still join a session that ends at `end`."""
        return end + self.gap_ms - 1

    def on_timer(self, timer: Timer) -> None:
        sessions = self.open_sessions.take()
        for start, end, count in sessions:
            if self.last_ms(end) <= timer.time:
                self.sessions.emit_json(timer.key, {"start": start, "end": end, "count": count})
        still_open = [session for session in sessions if self.last_ms(session[1]) > timer.time]
        if still_open:
            self.open_sessions.set(still_open)
