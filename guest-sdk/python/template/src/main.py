"""{{name}}: gives out each value that is longer than all before it of the same key."""

from tidemill import Event, Operator, Output, Value, export


@export
class Longest(Operator, name="{{name}}", version="0.1.0"):
    """The attributes declare what the operator keeps and where it emits."""

    longest = Value(int, default=0)
    lines = Output()

    def process(self, event: Event) -> None:
        line = event.text()
        if len(line) > self.longest.get():
            self.longest.set(len(line))
            self.lines.emit(event.key, line)
