"""Runs an operator or aggregator without Wasm: the same runner over a host in memory, which holds it to the contract as the
real host does: what would trap there raises `Trap` here.

    from tidemill.testing import Harness, Record

    harness = Harness(Count)
    harness.send(Record("a", "x"), Record("a", "y"))
    assert harness.output("counts") == [Record("a", "1"), Record("a", "2")]
"""

from __future__ import annotations

import json
from typing import Any, Callable, Iterable, NamedTuple, Sequence

from . import END_OF_INPUT, NO_WATERMARK, log
from .aggregator import AggregateRunner, Aggregator
from .columns import pack, pack_i64, pack_optional, pack_u32, unpack, unpack_u32
from .errors import Fatal, Retry
from .memory_host import PAGE, DeadLetter, MemoryHost, Record, Trap, of_columns, to_columns
from .operator import Operator
from .runner import Runner

__all__ = ["PAGE", "AggregateHarness", "DeadLetter", "Harness", "MemoryHost", "Record", "Trap", "of_columns", "to_columns"]


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
