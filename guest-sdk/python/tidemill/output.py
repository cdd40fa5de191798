"""Output ports: each is emitted once per call, or in pieces of `EMIT_BYTES` between two events when there is much."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Union

from .call import checked_time
from .codec import to_json
from .columns import BatchColumns, pack_i64, pack_optional
from .declare import Field
from .errors import Fatal, Reject
from .event import Batch, Event
from .headers import HEADERS_PER_EVENT_MAX, encode

#: A port is emitted between two events once it holds this many bytes.
EMIT_BYTES = 256 * 1024

Bytes = Union[bytes, str, None]


def as_bytes(value: Any, what: str) -> Optional[bytes]:
    """Text becomes UTF-8. A number would be a mistake more often than not, so it is refused."""
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"{what} is {value!r}: bytes, text or None can be emitted; emit_json takes the rest")


class Output(Field):
    """An output port."""

    section = "outputs"

    def start(self) -> None:
        self._events: list[tuple[int, Optional[bytes], Optional[bytes], Sequence[tuple[str, bytes]]]] = []
        self._bytes = 0

    def emit(self, key: Bytes, value: Bytes, *, at: Optional[int] = None, headers: Sequence[tuple[str, Bytes]] = ()) -> None:
        """Emits an event; its time is that of the event or timer in progress, unless given."""
        call = self.call
        time = checked_time(call.current_time(self.name) if at is None else at, f"port `{self.name}`")
        key, value = as_bytes(key, "the key"), as_bytes(value, "the value")
        named: Sequence[tuple[str, bytes]] = ()
        if headers:
            if len(headers) > HEADERS_PER_EVENT_MAX:
                raise Reject(f"port `{self.name}`: {len(headers)} headers on one event, at most {HEADERS_PER_EVENT_MAX}")
            named = [(name, as_bytes(one, "a header") or b"") for name, one in headers]
        call.append(self._events, (time, key, value, named))
        self._bytes += 16 + len(key or b"") + len(value or b"")
        if self._bytes >= EMIT_BYTES:
            call.full[self] = None

    def emit_json(
        self, key: Bytes, value: Any, *, at: Optional[int] = None, headers: Sequence[tuple[str, Bytes]] = ()
    ) -> None:
        """Emits an event with JSON as its value."""
        try:
            data = to_json(value)
        except (TypeError, ValueError) as error:
            raise Fatal(f"port `{self.name}`: the value cannot be written as JSON: {error}") from error
        self.emit(key, data, at=at, headers=headers)

    def forward(self, event: Event) -> None:
        """Emits an event as it came: time, key, value and headers."""
        self.emit(event.key, event.value, at=event.timestamp, headers=event.headers)

    def forward_batch(self, batch: Batch) -> None:
        """Emits all events of a batch as they came, without looking at them. For `process_batch`; it cannot be undone for
        one event, so it is refused while one is in progress."""
        if self.call.index is not None:
            raise Fatal(f"port `{self.name}`: forward_batch within an event; use forward")
        self.write_back()
        if len(batch):
            self.call.host.emit(self.index, batch.columns)

    def write_back(self) -> None:
        if self._events:
            times, keys, values, headers = zip(*self._events)
            entries = b"".join(map(encode, headers)) if any(headers) else b""
            columns = BatchColumns(pack_i64(times), pack_optional(keys), pack_optional(values), entries)
            self.call.host.emit(self.index, columns)
        self.drop()

    def drop(self) -> None:
        self._events.clear()
        self._bytes = 0
