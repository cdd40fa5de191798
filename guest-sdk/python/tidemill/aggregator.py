"""What the author of a window aggregate writes, and what drives it. The host keeps windows and accumulators; the aggregator
folds events into accumulators, merges those, and makes rows of them."""

from __future__ import annotations

from typing import Any, Iterable, NamedTuple, Optional, Sequence

from .call import Rejection
from .codec import codec_of, to_json
from .columns import BatchColumns, Columns, OptionalColumns, pack, pack_i64, pack_optional, pack_u32
from .columns import unpack, unpack_optional, unpack_u32
from .declare import describe, fields_of
from .errors import Fatal, Reject
from .event import Batch, Event
from .headers import encode
from .host import Host
from .operator import Exported
from .output import Bytes, as_bytes
from .runner import Session

#: No watermark has come yet; aggregators are not told of any.
NO_WATERMARK = -(2**63)


class Window(NamedTuple):
    """A window [start, end) of a key, and how often it gave results before. A global one goes from -2^63 to 2^63 - 1."""

    key: bytes
    start: int
    end: int
    firing: int

    def key_text(self) -> str:
        """Its key as text."""
        return self.key.decode()


class Rows:
    """Takes the rows that windows give. The host sets their times; without a key of their own they have the window's."""

    def __init__(self) -> None:
        self.events: list[tuple[Optional[bytes], Optional[bytes], Sequence[tuple[str, bytes]]]] = []
        self.window_of: list[int] = []
        self.window = 0

    def emit(self, value: Bytes, *, key: Bytes = None, headers: Sequence[tuple[str, Bytes]] = ()) -> None:
        """Emits a row."""
        named = [(name, as_bytes(one, "a header") or b"") for name, one in headers]
        self.events.append((as_bytes(key, "the key"), as_bytes(value, "the value"), named))
        self.window_of.append(self.window)

    def emit_json(self, value: Any, *, key: Bytes = None, headers: Sequence[tuple[str, Bytes]] = ()) -> None:
        """Emits a row with JSON as its value."""
        try:
            data = to_json(value)
        except (TypeError, ValueError) as error:
            raise Fatal(f"the row cannot be written as JSON: {error}") from error
        self.emit(data, key=key, headers=headers)

    def columns(self) -> BatchColumns:
        keys, values, headers = zip(*self.events) if self.events else ((), (), ())
        entries = b"".join(map(encode, headers)) if any(headers) else b""
        times = pack_i64([0] * len(self.events))
        return BatchColumns(times, pack_optional(keys), pack_optional(values), entries)


class Aggregator(Exported):
    """A fold over the events of a window: `class Mean(Aggregator, accumulator=list)`. The host keeps windows and accumulators.

    `accumulator` is what `Value` takes: int, float, str, bytes, a dataclass, dict or list (JSON), or a `Codec`. `add` and
    `merge` may change an accumulator in place and return nothing, or return another. They depend on what they are given and
    on the configuration alone: the host calls them again after a failure, and on another instance.
    """

    accumulator: Any = None

    def __init_subclass__(cls, accumulator: Any = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        cls.accumulator = accumulator if accumulator is not None else cls.accumulator

    def start(self) -> Any:
        """A new accumulator."""
        raise Fatal(f"aggregator `{self.name}` implements no `start`")

    def add(self, accumulator: Any, event: Event) -> Any:
        """Folds an event in. `Reject` leaves the accumulator as it was, whatever was done to it."""
        raise Fatal(f"aggregator `{self.name}` implements no `add`")

    def merge(self, accumulator: Any, later: Any) -> Any:
        """Folds in what a later piece of the same window gathered: panes of overlapping windows, sessions become one."""
        raise Fatal(f"aggregator `{self.name}` implements no `merge`")

    def finish(self, window: Window, accumulator: Any, rows: Rows) -> None:
        """A window gives its result: any number of rows. It cannot be refused, so any exception stops the pipeline."""
        raise Fatal(f"aggregator `{self.name}` implements no `finish`")

    @classmethod
    def describe(cls) -> dict[str, Any]:
        for attribute, field in fields_of(cls):
            if field.section not in (None, "metrics"):
                raise Fatal(
                    f"window aggregate `{cls.name}` declares `{attribute}`; the host keeps its windows and accumulators and gives "
                    "its rows out: only Config and metrics may be declared"
                )
        return {**describe(cls), "outputs": [{"name": "results"}]}


class AggregateRunner(Session):
    """An opened aggregator."""

    def __init__(self, kind: type[Aggregator], host: Host, config: str) -> None:
        super().__init__(kind, host, config)
        self._codec = codec_of(kind.accumulator)

    def accumulate(
        self, columns: BatchColumns, groups: bytes, accumulators: OptionalColumns
    ) -> tuple[Columns, list[Rejection]]:
        batch = Batch(self.call, columns, 0, NO_WATERMARK)
        self.call.begin(batch.keys)
        return self.guarded(lambda: self._accumulate(batch, unpack_u32(groups), unpack_optional(accumulators)))

    def _accumulate(
        self, batch: Batch, groups: Sequence[int], before: Sequence[Optional[bytes]]
    ) -> tuple[Columns, list[Rejection]]:
        now = [self._read(data) for data in before]
        fold = self.exported.add
        # The bytes of accumulators that a refused event may have changed, after each event since.
        kept: dict[int, bytes] = {}
        done: list[Event] = []

        def handle(event: Event) -> None:
            group = groups[event.index]
            try:
                now[group] = self._result(fold(now[group], event), now[group])
            except Reject:
                if not self._codec.immutable:
                    if group not in kept:
                        again = self._read(before[group])
                        for earlier in done:
                            if groups[earlier.index] == group:
                                again = self._result(fold(again, earlier), again)
                        kept[group] = self._write(again)
                    now[group] = self._read(kept[group])
                raise
            done.append(event)
            if group in kept:
                kept[group] = self._write(now[group])

        refused = batch.each(handle)
        return pack([self._write(accumulator) for accumulator in now]), refused

    def merge(self, groups: bytes, accumulators: Columns) -> Columns:
        def act() -> Columns:
            merged: dict[int, Any] = {}
            for group, data in zip(unpack_u32(groups), unpack(accumulators)):
                one = self._read(data)
                merged[group] = self._result(self.exported.merge(merged[group], one), merged[group]) if group in merged else one
            return pack([self._write(merged[group]) for group in range(len(merged))])

        self.call.begin()
        return self.guarded(act)

    def finish(self, keys: Columns, windows: Iterable[Any], accumulators: Columns) -> tuple[BatchColumns, bytes]:
        def act() -> tuple[BatchColumns, bytes]:
            rows = Rows()
            for i, (key, window, data) in enumerate(zip(unpack(keys), windows, unpack(accumulators))):
                rows.window = i
                self.exported.finish(Window(key, window.start, window.end, window.firing), self._read(data), rows)
            return rows.columns(), pack_u32(rows.window_of)

        self.call.begin()
        return self.guarded(act)

    def _result(self, result: Any, changed: Any) -> Any:
        if result is not None:
            return result
        if self._codec.immutable:
            raise TypeError("add and merge have to return the new accumulator, which cannot be changed in place")
        return changed

    def _read(self, data: Optional[bytes]) -> Any:
        if data is None:
            return self.exported.start()
        try:
            return self._codec.decode(data)
        except Exception as error:
            raise Fatal(f"an accumulator cannot be read as the declared type: {type(error).__name__}: {error}") from error

    def _write(self, accumulator: Any) -> bytes:
        try:
            return self._codec.encode(accumulator)
        except Exception as error:
            raise Fatal(f"an accumulator cannot be encoded: {type(error).__name__}: {error}") from error
