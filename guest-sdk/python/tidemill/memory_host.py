"""The host in memory, for `testing`: it holds the operator to the contract as the real host does."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, Sequence, Union

from . import NO_WATERMARK
from .columns import BatchColumns, Columns, OptionalColumns, pack, pack_i64, pack_optional, unpack, unpack_i64, unpack_optional
from .headers import decode_all, encode
from .host import EVENT_TIME, PROCESSING_TIME, Page, Subtask
from .output import as_bytes

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
