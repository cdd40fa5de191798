"""The events of one call as the operator sees them. `runner` makes a `Batch`; the operator gets its events one by one or
works on its columns."""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

from .call import Call, Rejection
from .columns import BatchColumns, unpack_i64, unpack_optional
from .declare import Input
from .errors import Reject
from .headers import Header, decode_all


class Event:
    """One event. Times are ms since 1970."""

    __slots__ = ("key", "value", "timestamp", "batch", "index")

    def __init__(self, key: Optional[bytes], value: Optional[bytes], timestamp: int, batch: "Batch", index: int) -> None:
        #: Its routing key, or None.
        self.key = key
        #: Its payload; None is a tombstone.
        self.value = value
        #: Its event time.
        self.timestamp = timestamp
        self.batch = batch
        self.index = index

    @property
    def watermark(self) -> int:
        """The operator's watermark when it came. An event at or below it is late."""
        return self.batch.watermark

    @property
    def headers(self) -> tuple[Header, ...]:
        """Names and values, in order; a name may come twice."""
        return self.batch.headers[self.index]

    def header(self, name: str) -> Optional[bytes]:
        """The first header of this name."""
        return next((value for known, value in self.headers if known == name), None)

    def is_from(self, source: Input) -> bool:
        """Whether it came from this input."""
        return self.batch.input == source.index

    def key_text(self) -> str:
        """Its key as text; refuses the event if that is not what it is."""
        return _text(self.key, "key")

    def text(self) -> str:
        """Its payload as text; refuses the event if that is not what it is."""
        return _text(self.value, "value")

    def json(self) -> Any:
        """Its payload parsed as JSON; refuses the event if that fails."""
        if self.value is None:
            raise Reject("the event has no value (a tombstone); JSON is needed")
        try:
            return json.loads(self.value)
        except ValueError as error:
            raise Reject(f"the value is not the JSON that is needed: {error}") from None


def _text(data: Optional[bytes], what: str) -> str:
    if data is None:
        raise Reject(f"the event has no {what}; text is needed")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Reject(f"the {what} is not UTF-8 text: {error}") from None


class Batch:
    """The events of one call, as lists of equal length."""

    def __init__(self, call: Call, columns: BatchColumns, input: int, watermark: int) -> None:
        self._call = call
        self.columns = columns
        #: Index of the input that they came from.
        self.input = input
        #: The operator's watermark before this batch.
        self.watermark = watermark
        self._keys: Optional[list[Optional[bytes]]] = None
        self._values: Optional[list[Optional[bytes]]] = None
        self._timestamps: Optional[tuple[int, ...]] = None
        self._headers: Optional[list[tuple[Header, ...]]] = None

    def __len__(self) -> int:
        return len(self.columns.timestamps) // 8

    @property
    def keys(self) -> list[Optional[bytes]]:
        if self._keys is None:
            self._keys = unpack_optional(self.columns.keys)
        return self._keys

    @property
    def values(self) -> list[Optional[bytes]]:
        if self._values is None:
            self._values = unpack_optional(self.columns.values)
        return self._values

    @property
    def timestamps(self) -> tuple[int, ...]:
        if self._timestamps is None:
            self._timestamps = unpack_i64(self.columns.timestamps)
        return self._timestamps

    @property
    def headers(self) -> list[tuple[Header, ...]]:
        if self._headers is None:
            self._headers = decode_all(self.columns.headers, len(self))
        return self._headers

    def each(self, handle: Callable[[Event], None]) -> list[Rejection]:
        """Hands the events over one by one, each a transaction of its own: one that raises `Reject` leaves nothing behind
        and is in the result, as (index, reason)."""
        keys, values, timestamps = self.keys, self.values, self.timestamps
        return self._call.each(
            keys, timestamps, lambda i: handle(Event(keys[i], values[i], timestamps[i], self, i))
        )
