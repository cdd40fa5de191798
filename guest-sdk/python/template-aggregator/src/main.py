"""{{name}}: how many events a window has, and how long the longest is."""

from dataclasses import asdict, dataclass

from tidemill import Aggregator, Event, Rows, Window, export


@dataclass
class Lengths:
    """What is kept of the events of a window."""

    events: int = 0
    longest: int = 0


@export
class Longest(Aggregator, accumulator=Lengths, name="{{name}}", version="0.1.0"):
    """The attributes may be configuration and metrics; the accumulator is all that lasts."""

    def start(self) -> Lengths:
        return Lengths()

    def add(self, lengths: Lengths, event: Event) -> None:
        lengths.events += 1
        lengths.longest = max(lengths.longest, len(event.text()))

    def merge(self, lengths: Lengths, later: Lengths) -> None:
        lengths.events += later.events
        lengths.longest = max(lengths.longest, later.longest)

    def finish(self, window: Window, lengths: Lengths, rows: Rows) -> None:
        rows.emit_json(asdict(lengths))
