"""The conformance operator in Python: guest-sdk/CONFORMANCE.md says what it does."""

from dataclasses import dataclass
from typing import Optional

from tidemill import (
    END_OF_INPUT, NO_WATERMARK, Config, Counter, Event, EventTimer, Fatal, Gauge, Histogram, Input, List, Map, Operator, Output,
    ProcessingTimer, Reject, Retry, Timer, Value, export, log,
)


@dataclass
class Settings:
    greeting: str = "none"
    refuse: Optional[str] = None


def pattern(length: int) -> bytes:
    return bytes(i % 251 for i in range(length))


@export
class Conformance(Operator, version="0.1.0"):
    settings = Config(Settings)
    events = Input()
    other = Input()
    out = Output()
    side = Output()
    count = Value(str, default="0")
    entries = Map(bytes, bytes)
    items = List(str)
    brief = Value(str, default="0", ttl="100ms")
    fresh = Map(bytes, bytes, ttl="100ms", clock="event", refresh="read-and-write")
    recent = List(str, ttl="100ms", clock="event")
    due = EventTimer()
    alarm = ProcessingTimer()
    seen = Counter()
    last = Gauge()
    sizes = Histogram()
    memory = 0

    def open(self) -> None:
        if self.settings.refuse is not None:
            raise Fatal(self.settings.refuse)
        log.info("opened")

    def close(self) -> None:
        log.info("closed")

    def process(self, event: Event) -> None:
        if event.value is None:
            self.out.forward(event)
            return
        try:
            command, _, rest = event.value.decode().partition(" ")
        except UnicodeDecodeError as error:
            raise Reject(f"unknown command: {error}") from None
        handler = COMMANDS.get(command)
        if handler is None:
            raise Reject(f"unknown command {command}")
        handler(self, event, rest)

    def emit(self, event: Event, value: object) -> None:
        self.out.emit(event.key, value if isinstance(value, bytes) else str(value))

    def count_on(self, event: Event) -> None:
        self.emit(event, self.counted())

    def counted(self) -> str:
        return self.count.update(lambda n: str(int(n) + 1))

    def note(self, event: Event, rest: str) -> None:
        self.recent.append(rest)
        self.emit(event, ",".join(self.recent))

    def show_watermark(self, event: Event) -> None:
        self.emit(event, {NO_WATERMARK: "none", END_OF_INPUT: "end"}.get(event.watermark, event.watermark))

    def show_context(self, event: Event) -> None:
        here = self.context.subtask()
        self.emit(event, f"{here.index}/{here.parallelism}/{here.max_parallelism} {self.context.now_ms()}")

    def many(self, event: Event, n: int) -> None:
        for i in range(n):
            self.emit(event, i)

    def clear_count(self, event: Event) -> None:
        self.count.clear()
        self.emit(event, "cleared")

    def show_entries(self, event: Event, start: Optional[bytes] = None, end: Optional[bytes] = None) -> None:
        self.emit(event, b",".join(sub + b"=" + value for sub, value in self.entries.items(start, end)))

    def show_range(self, event: Event, rest: str) -> None:
        start, end = rest.encode().split(b" ")
        self.show_entries(event, start, end)

    def put(self, rest: str) -> None:
        sub, _, value = rest.encode().partition(b" ")
        self.entries[sub] = value

    def all_bytes(self, event: Event) -> None:
        for b in reversed(range(256)):
            self.entries[bytes([b])] = b""
        self.emit(event, b"".join(self.entries.keys()))

    def blob(self, event: Event, length: int) -> None:
        self.entries[b"blob"] = pattern(length)
        self.emit(event, self.entries[b"blob"])

    def count_metrics(self) -> None:
        self.seen.add(3)
        self.last.set(2.5)
        self.sizes.observe(1)
        self.sizes.observe(2)

    def write_log(self) -> None:
        for line in (log.trace, log.debug, log.info, log.warn, log.error):
            line("a line")

    def reject(self, event: Event, reason: str) -> None:
        self.count_on(event)
        self.entries[b"rejected"] = b"rejected"
        self.items.append("rejected")
        self.due.register(event.timestamp + 5)
        self.seen.add(100)
        raise Reject(reason)

    def fail(self, event: Event, error: Exception) -> None:
        self.count_on(event)
        raise error

    def remember(self, event: Event) -> None:
        self.memory += 1
        self.emit(event, self.memory)

    def on_timer(self, timer: Timer) -> None:
        self.out.emit(timer.key, f"{timer.name} {timer.time}")
        if b"refuse-timer" in self.entries:
            self.counted()
            raise Reject("timer refused")
        if b"again" in self.entries:
            self.due.register(timer.time + 10)
            del self.entries[b"again"]

    def on_watermark(self, watermark: int) -> None:
        if watermark == END_OF_INPUT:
            self.side.emit(None, "watermark end", at=0)
        else:
            self.side.emit(None, f"watermark {watermark}", at=watermark)


COMMANDS = {
    "echo": lambda s, event, rest: s.out.forward(event),
    "side": lambda s, event, rest: s.side.emit("side", rest, at=event.timestamp + 1),
    "keyless": lambda s, event, rest: s.out.emit(None, rest),
    "tombstone": lambda s, event, rest: s.out.emit(event.key, None),
    "headers": lambda s, event, rest: s.out.emit(event.key, "ok", headers=[*event.headers[::-1], ("x", b"\x00\xff")]),
    "input": lambda s, event, rest: s.emit(event, s.events.name if event.is_from(s.events) else s.other.name),
    "watermark": lambda s, event, rest: s.show_watermark(event),
    "context": lambda s, event, rest: s.show_context(event),
    "greeting": lambda s, event, rest: s.emit(event, s.settings.greeting),
    "many": lambda s, event, rest: s.many(event, int(rest)),
    "size": lambda s, event, rest: s.emit(event, pattern(int(rest))),
    "count": lambda s, event, rest: s.count_on(event),
    "clear": lambda s, event, rest: s.clear_count(event),
    "put": lambda s, event, rest: s.put(rest),
    "get": lambda s, event, rest: s.emit(event, s.entries.get(rest.encode(), b"-")),
    "remove": lambda s, event, rest: s.entries.remove(rest.encode()),
    "entries": lambda s, event, rest: s.show_entries(event),
    "range": lambda s, event, rest: s.show_range(event, rest),
    "clear-entries": lambda s, event, rest: s.entries.clear(),
    "bytes": lambda s, event, rest: s.all_bytes(event),
    "blob": lambda s, event, rest: s.blob(event, int(rest)),
    "push": lambda s, event, rest: s.items.append(rest),
    "items": lambda s, event, rest: s.emit(event, ",".join(s.items)),
    "clear-items": lambda s, event, rest: s.items.clear(),
    "brief": lambda s, event, rest: s.emit(event, s.brief.update(lambda n: str(int(n) + 1))),
    "keep": lambda s, event, rest: s.fresh.set(rest.encode(), b"kept"),
    "kept": lambda s, event, rest: s.emit(event, s.fresh.get(rest.encode(), b"-")),
    "note": lambda s, event, rest: s.note(event, rest),
    "due": lambda s, event, rest: s.due.register(int(rest)),
    "cancel-due": lambda s, event, rest: s.due.cancel(int(rest)),
    "alarm": lambda s, event, rest: s.alarm.register(int(rest)),
    "cancel-alarm": lambda s, event, rest: s.alarm.cancel(int(rest)),
    "metrics": lambda s, event, rest: s.count_metrics(),
    "log": lambda s, event, rest: s.write_log(),
    "reject": lambda s, event, rest: s.reject(event, rest),
    "raise": lambda s, event, rest: s.fail(event, RuntimeError("raised on purpose")),
    "retry": lambda s, event, rest: s.fail(event, Retry(int(rest) if rest else None)),
    "fatal": lambda s, event, rest: s.fail(event, Fatal(rest)),
    "memory": lambda s, event, rest: s.remember(event),
}
