"""Runs an operator or aggregator without Wasm: the same runner over a host in memory, which holds it to the contract as the
real host does: what would trap there raises `Trap` here.

    from tidemill.testing import Harness, Record

    harness = Harness(Count)
    harness.send(Record("a", "x"), Record("a", "y"))
    assert harness.output("counts") == [Record("a", "1"), Record("a", "2")]
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, NamedTuple, Optional, Sequence, Union

from . import END_OF_INPUT, NO_WATERMARK, log
from .aggregator import AggregateRunner, Aggregator
from .columns import BatchColumns, Columns, OptionalColumns, pack, pack_i64, pack_optional, pack_u32
from .columns import unpack, unpack_i64, unpack_optional, unpack_u32
from .errors import Fatal, Retry
from .headers import decode_all, encode
from .host import EVENT_TIME, PROCESSING_TIME, Page, Subtask
from .operator import Operator
from .output import as_bytes
from .runner import Runner

#: Entries in a page of a scan: few, so that tests cross pages.
PAGE = 3


class Trap(Exception):
    """What the host would end the instance for."""


@dataclass
class Record:
    """An event. Text is taken as its UTF-8 bytes."""

    key: Union[bytes, str, None]
    value: Union[bytes, str, None] = b""
    time: int = 0
    headers: Sequence[tuple[str, bytes]] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        self.key, self.value = as_bytes(self.key, "the key"), as_bytes(self.value, "the value")
        self.headers = tuple((name, as_bytes(value, "a header") or b"") for name, value in self.headers)

    def text(self) -> str:
        assert isinstance(self.value, bytes), "a tombstone has no text"
        return self.value.decode()

    def json(self) -> Any:
        return json.loads(self.text())


class DeadLetter(NamedTuple):
    """A refused event, and why."""

    record: Record
    reason: str


def to_columns(records: Sequence[Record]) -> BatchColumns:
    headers = b"".join(encode(r.headers) for r in records) if any(r.headers for r in records) else b""
    keys, values = [r.key for r in records], [r.value for r in records]
    times = pack_i64([r.time for r in records])
    return BatchColumns(times, pack_optional(keys), pack_optional(values), headers)  # type: ignore[arg-type]


def of_columns(columns: BatchColumns) -> list[Record]:
    times, keys, values = unpack_i64(columns.timestamps), unpack_optional(columns.keys), unpack_optional(columns.values)
    if not len(times) == len(keys) == len(values):
        raise Trap("the columns of an emitted batch differ in length")
    headers = decode_all(columns.headers, len(times))
    return [Record(*one) for one in zip(keys, values, times, headers)]


class MemoryHost:
    """Dicts for state and timers, a copy of them to roll a call back to."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.state: dict[tuple[int, bytes], dict[bytes, bytes]] = {}
        self.timers: set[tuple[str, int, int, bytes]] = set()
        self.emitted: list[tuple[int, Record]] = []
        self.metrics: dict[int, float] = {}
        self.calls: dict[str, int] = {}
        self.lines: list[tuple[str, str]] = []
        self.ttls: list[Optional[dict[str, Any]]] = []
        self.watermark = NO_WATERMARK
        self._newest: dict[bytes, int] = {}
        self._stamps: dict[tuple[int, bytes, bytes], int] = {}
        self.clock = 0
        self.appended = 0
        self._before: Any = None

    def begin(self, watermark: int, about: Sequence[Record]) -> None:
        """A call begins about these events or timers."""
        self.watermark = watermark
        self._newest = {}
        for one in about:
            key = one.key if isinstance(one.key, bytes) else b""
            self._newest[key] = max(one.time, self._newest.get(key, one.time))
        self.free()
        self._before = copy.deepcopy((self.state, self.timers, self.emitted, self.metrics, self._stamps))

    def free(self) -> None:
        """What has outlived its time is freed, here at once."""
        now = {"event-time": self.watermark, "processing-time": self.clock}
        for (state, key, sub), stamp in list(self._stamps.items()):
            ttl = self._ttl(state)
            if ttl is not None and stamp + ttl["ms"] <= now[ttl["clock"]]:
                self.state.get((state, key), {}).pop(sub, None)
                del self._stamps[state, key, sub]

    def _ttl(self, state: int) -> Optional[dict[str, Any]]:
        ttl: Optional[dict[str, Any]] = self.ttls[state] if state < len(self.ttls) else None
        return ttl

    def _stamp(self, state: int, key: bytes, sub: bytes) -> None:
        ttl = self._ttl(state)
        if ttl is not None:
            newest = self._newest.get(key, max(self._newest.values(), default=self.watermark))
            in_event_time = ttl["clock"] == "event-time"
            self._stamps[state, key, sub] = max(newest, self.watermark) if in_event_time else self.clock

    def _read(self, state: int, key: bytes, sub: bytes) -> Optional[bytes]:
        """The value of an entry, which lasts longer where reading does that."""
        value = self.state.get((state, key), {}).get(sub)
        ttl = self._ttl(state)
        if value is not None and ttl is not None and ttl["refresh"] == "read-and-write":
            self._stamp(state, key, sub)
        return value

    def roll_back(self) -> None:
        self.state, self.timers, self.emitted, self.metrics, self._stamps = self._before

    def _note(self, call: str) -> None:
        self.calls[call] = self.calls.get(call, 0) + 1

    def _check(self, call: str, state: int, *wanted: str) -> None:
        self._note(call)
        kind = self.kinds[state] if 0 <= state < len(self.kinds) else "unknown"
        if kind not in wanted:
            raise Trap(f"state.{call} on state {state}, which is {kind}; it needs one of {wanted}")

    def get(self, state: int, keys: Columns, subkeys: Optional[Columns]) -> OptionalColumns:
        self._check("get", state, "value" if subkeys is None else "map")
        subs = [b""] * len(unpack(keys)) if subkeys is None else unpack(subkeys)
        return pack_optional([self._read(state, key, sub) for key, sub in zip(unpack(keys), subs)])

    def put(self, state: int, keys: Columns, subkeys: Optional[Columns], values: OptionalColumns) -> None:
        self._check("put", state, "value" if subkeys is None else "map")
        subs = [b""] * len(unpack(keys)) if subkeys is None else unpack(subkeys)
        for key, sub, value in zip(unpack(keys), subs, unpack_optional(values), strict=True):
            entries = self.state.setdefault((state, key), {})
            if value is None:
                entries.pop(sub, None)
            else:
                entries[sub] = value
                self._stamp(state, key, sub)

    def append(self, state: int, keys: Columns, values: Columns) -> None:
        self._check("append", state, "list")
        for key, value in zip(unpack(keys), unpack(values), strict=True):
            self.appended += 1
            sub = self.appended.to_bytes(8, "big")
            self.state.setdefault((state, key), {})[sub] = value
            self._stamp(state, key, sub)

    def clear(self, state: int, keys: Columns) -> None:
        self._check("clear", state, "value", "map", "list")
        for key in unpack(keys):
            self.state.pop((state, key), None)

    def scan(
        self, state: int, key: bytes, start: Optional[bytes], end: Optional[bytes], limit: int, cursor: Optional[bytes]
    ) -> Page:
        self._check("scan", state, "map", "list")
        entries = sorted(self.state.get((state, key), {}).items())
        entries = [e for e in entries if (start is None or start <= e[0]) and (end is None or e[0] < end)]
        at = int.from_bytes(cursor or b"", "little")
        after = at + min(limit or PAGE, PAGE)
        subs = [b"" if self.kinds[state] == "list" else sub for sub, _ in entries[at:after]]
        more = after.to_bytes(8, "little") if after < len(entries) else None
        return Page(pack(subs), pack([self._read(state, key, sub) or b"" for sub, _ in entries[at:after]]), more)

    def register(self, domain: str, timer: int, keys: Columns, times: bytes) -> None:
        self._note("register")
        self.timers.update((domain, t, timer, key) for key, t in zip(unpack(keys), unpack_i64(times), strict=True))

    def cancel(self, domain: str, timer: int, keys: Columns, times: bytes) -> None:
        self._note("cancel")
        self.timers.difference_update(
            [(domain, t, timer, key) for key, t in zip(unpack(keys), unpack_i64(times), strict=True)]
        )

    def take_due(self, watermark: int) -> Optional[tuple[str, int, list[bytes], list[int]]]:
        """A batch of due timers: earliest first, one clock, one timer, at most one per key."""
        limits = {EVENT_TIME: watermark, PROCESSING_TIME: self.clock}
        due = sorted(t for t in self.timers if t[1] <= limits[t[0]])
        taken: dict[bytes, int] = {}
        for domain, time, timer, key in due:
            if (domain, timer) != (due[0][0], due[0][2]) or key in taken:
                break
            taken[key] = time
            self.timers.remove((domain, time, timer, key))
        return (due[0][0], due[0][2], list(taken), list(taken.values())) if due else None

    def emit(self, port: int, events: BatchColumns) -> None:
        self._note("emit")
        self.emitted.extend((port, record) for record in of_columns(events))

    def add(self, metric: int, amount: int) -> None:
        self.metrics[metric] = self.metrics.get(metric, 0) + amount

    def set(self, metric: int, value: float) -> None:
        self.metrics[metric] = value

    def observe(self, metric: int, values: Sequence[float]) -> None:
        self.metrics[metric] = self.metrics.get(metric, 0) + sum(values)

    def subtask(self) -> Subtask:
        return Subtask(0, 1, 128)

    def now_ms(self) -> int:
        return self.clock

    def log(self, level: str, message: str) -> None:
        self.lines.append((level, message))


class _Harness:
    """What both harnesses share."""

    def __init__(self, kind: Any, open_runner: Callable[..., Any], config: Any) -> None:
        self._kind, self._open_runner, self._config = kind, open_runner, json.dumps({} if config is None else config)
        self._host = MemoryHost()
        log.use(self._host.log)
        self._runner = open_runner(kind, self._host, self._config)
        self._host.kinds = [state["kind"] for state in self.descriptor["states"]]
        self._host.ttls = [state.get("ttl") for state in self.descriptor["states"]]
        self._watermark = NO_WATERMARK
        self._dead_letters: list[DeadLetter] = []

    @property
    def descriptor(self) -> dict[str, Any]:
        """What `describe` gives the host."""
        descriptor: dict[str, Any] = self._runner.descriptor
        return descriptor

    @property
    def calls(self) -> dict[str, int]:
        """How often the operator called the host so far, by function."""
        return self._host.calls

    def replace_instance(self) -> None:
        """Replaces the instance, as the host may do between any two calls: state and timers stay, memory does not."""
        self._runner = self._open_runner(self._kind, self._host, self._config)

    def dead_letters(self) -> list[DeadLetter]:
        """Takes the events and timers that were refused since last asked."""
        taken, self._dead_letters = self._dead_letters, []
        return taken

    def log(self) -> list[tuple[str, str]]:
        """Takes the lines logged since last asked, as (level, message)."""
        taken, self._host.lines = self._host.lines, []
        return taken

    def metric(self, name: str) -> float:
        """A counter's sum, a gauge's value, a histogram's sum. 0 before it was used."""
        return self._host.metrics.get(self._index("metrics", name), 0)

    def _index(self, section: str, name: str) -> int:
        names = [entry["name"] for entry in self.descriptor[section]]
        assert name in names, f"no {name!r} in {section}; there are: {', '.join(names)}"
        return names.index(name)

    def _transaction(self, call: Callable[[], Any], about: Sequence[Record] = ()) -> Any:
        """A call about these events or timers is a transaction: an error drops everything it did."""
        self._host.begin(self._watermark, about)
        try:
            return call()
        except (Retry, Fatal):
            self._host.roll_back()
            raise

    def _refused(self, records: Sequence[Record], rejections: Iterable[tuple[int, str]]) -> None:
        self._dead_letters.extend(DeadLetter(records[index], reason) for index, reason in rejections)


class Harness(_Harness):
    """An operator, its state and timers, and what came out of it."""

    def __init__(self, operator: type[Operator], config: Any = None) -> None:
        super().__init__(operator, Runner, config)

    def send(self, *events: Record, input: int = 0) -> None:
        """One call with these events on an input. Timers that are due by then fire after it."""
        columns = to_columns(events)
        self._refused(events, self._transaction(lambda: self._runner.process(input, self._watermark, columns), events))
        self._fire()

    def watermark(self, time_ms: int) -> None:
        """Moves the watermark: fires the event-time timers that it makes due, then tells the operator if it wants that."""
        if time_ms <= self._watermark:
            return
        self._watermark = self._host.watermark = time_ms
        self._host.free()
        self._fire()
        if self.descriptor["wants"]["watermarks"]:
            self._transaction(lambda: self._runner.on_watermark(time_ms))

    def clock(self, now_ms: int) -> None:
        """Moves the clock: fires the processing-time timers that are due."""
        self._host.clock = now_ms
        self._host.free()
        self._fire()

    def end(self) -> None:
        """Ends the input: the last watermark, then `close`."""
        self.watermark(END_OF_INPUT)
        self._transaction(self._runner.close)

    def _fire(self) -> None:
        while (due := self._host.take_due(self._watermark)) is not None:
            domain, timer, keys, times = due
            call = lambda: self._runner.on_timers(timer, pack(keys), pack_i64(times), self._watermark)
            fired = [Record(key, b"", time) for key, time in zip(keys, times)]
            try:
                refused = self._transaction(call, fired)
            except (Retry, Fatal):
                self._host.register(domain, timer, pack(keys), pack_i64(times))
                raise
            self._refused(fired, refused)

    def output(self, port: str) -> list[Record]:
        """Takes what came out of a port since last asked."""
        index = self._index("outputs", port)
        taken = [record for of, record in self._host.emitted if of == index]
        self._host.emitted = [one for one in self._host.emitted if one[0] != index]
        return taken

    def timers(self) -> list[tuple[str, str, bytes, int]]:
        """Timers waiting: their clock, name, key and time, earliest first."""
        names = [timer["name"] for timer in self.descriptor["timers"]]
        return [(domain, names[timer], key, time) for domain, time, timer, key in sorted(self._host.timers)]

    def state_entries(self, state: str) -> int:
        """How many entries a state holds over all keys."""
        index = self._index("states", state)
        return sum(len(entries) for (of, _), entries in self._host.state.items() if of == index)


class _Span(NamedTuple):
    start: int
    end: int
    firing: int


class AggregateHarness(_Harness):
    """An aggregator over tumbling windows of so many ms; the harness keeps the accumulators, as the host does."""

    def __init__(self, aggregator: type[Aggregator], config: Any = None, window_ms: int = 1_000) -> None:
        super().__init__(aggregator, AggregateRunner, config)
        self._window_ms = window_ms
        self._pieces: dict[tuple[bytes, int], list[bytes]] = {}
        self._results: list[Record] = []

    def send(self, *events: Record) -> None:
        """One call with these events: each folds into the accumulator of its key and window."""
        of = [(event.key, event.time // self._window_ms * self._window_ms) for event in events]
        places: list[Any] = list(dict.fromkeys(of))
        before = [(self._pieces.get(place) or [None])[-1] for place in places]  # type: ignore[list-item]
        groups = pack_u32([places.index(place) for place in of])
        call = lambda: self._runner.accumulate(to_columns(events), groups, pack_optional(before))
        accumulators, refused = self._transaction(call)
        for place, accumulator in zip(places, unpack(accumulators)):
            self._pieces.setdefault(place, [b""])[-1] = accumulator
        self._refused(events, refused)

    def split(self) -> None:
        """From here on events go into new accumulators, to be merged with the others: what the host does with panes."""
        for pieces in self._pieces.values():
            pieces.append(unpack(self._runner.accumulate(to_columns([]), b"", pack_optional([None]))[0])[0])

    def end(self) -> None:
        """Every window gives its result, in order of time and key; then `close`."""
        places = sorted(self._pieces, key=lambda place: (place[1], place[0]))
        groups = [i for i, place in enumerate(places) for _ in self._pieces[place]]
        pieces = [piece for place in places for piece in self._pieces[place]]
        merged = self._transaction(lambda: self._runner.merge(pack_u32(groups), pack(pieces)))
        windows = [_Span(start, start + self._window_ms, 0) for _, start in places]
        rows, window_of = self._transaction(lambda: self._runner.finish(pack([key for key, _ in places]), windows, merged))
        for row, window in zip(of_columns(rows), unpack_u32(window_of), strict=True):
            key = places[window][0] if row.key is None else row.key
            self._results.append(Record(key, row.value, windows[window].end - 1, row.headers))
        self._pieces.clear()
        self._transaction(self._runner.close)

    def results(self) -> list[Record]:
        """Takes the rows since last asked; their time is the last of their window."""
        taken, self._results = self._results, []
        return taken
