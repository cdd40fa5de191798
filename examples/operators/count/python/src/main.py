"""How often each key came: emits the count so far, as decimal text, for every event."""

from tidemill import Event, Operator, Output, Value, export


@export
class Count(Operator, version="0.1.0"):
    """A count per key."""

    seen = Value(int, default=0)
    counts = Output()

    def process(self, event: Event) -> None:
        n = self.seen.update(lambda n: n + 1)
        self.counts.emit(event.key, str(n))
