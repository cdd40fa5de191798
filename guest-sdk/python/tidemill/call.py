"""The call in progress: its events, which one is being handled, and how to undo what that one did. `runner` begins and ends
it; every handle of the operator shares it.

1. Nothing of a call reaches the host before the events that caused it have succeeded.
2. Every effect is an entry of a dict or the end of a list, and the undo log holds what was there before, so undoing an
   event is one loop, whatever it did.
3. Between calls every part is empty: an instance may be replaced there.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Protocol, Sequence

from .errors import Fatal, Reject
from .host import Host

#: Greatest magnitude of a time, ms: 2^53 - 1.
TIME_LIMIT_MS = (1 << 53) - 1
_ABSENT: Any = object()

Rejection = tuple[int, str]


class Part(Protocol):
    """What collects effects during a call: a state, a timer, a port, a metric."""

    def write_back(self) -> None:
        """Writes the call's effects to the host and empties the part."""

    def drop(self) -> None:
        """Empties the part."""


class Call:
    """Shared by all handles of an operator."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.parts: list[Part] = []
        #: Ports that hold so much that they are emitted between two events.
        self.full: dict[Part, None] = {}
        #: (dict, key, what was there) or (None, list, its length).
        self.undo_log: list[tuple[Optional[dict[Any, Any]], Any, Any]] = []
        self._keys: Sequence[Optional[bytes]] = ()
        self._distinct: Optional[list[bytes]] = None
        self.index: Optional[int] = None
        self.key: Optional[bytes] = None
        self.time: Optional[int] = None

    def begin(self, keys: Sequence[Optional[bytes]] = ()) -> None:
        """Begins a call about events or timers of these keys."""
        self._keys, self._distinct = keys, None
        self.index = self.key = self.time = None

    def write_back(self) -> None:
        """Ends the call well."""
        for part in self.parts:
            part.write_back()
        self._end()

    def drop(self) -> None:
        """Ends the call badly: nothing of it stays."""
        for part in self.parts:
            part.drop()
        self._end()

    def _end(self) -> None:
        self.undo_log.clear()
        self.full.clear()
        self.begin()

    def each(self, keys: Sequence[Optional[bytes]], times: Sequence[int], handle: Callable[[int], None]) -> list[Rejection]:
        """Handles event 0, 1, ...: what one did stays unless it raises `Reject`. Any other exception ends the call."""
        refused: list[Rejection] = []
        undo_log, full = self.undo_log, self.full
        for i, key in enumerate(keys):
            self.index, self.key, self.time = i, key, times[i]
            try:
                handle(i)
            except Reject as reason:
                self.undo()
                refused.append((i, str(reason)))
            else:
                if undo_log:
                    undo_log.clear()
                if full:
                    for part in full:
                        part.write_back()
                    full.clear()
        self.index = self.key = self.time = None
        return refused

    def undo(self) -> None:
        """Undoes what the event in progress did."""
        log = self.undo_log
        while log:
            table, key, old = log.pop()
            if table is None:
                del key[old:]
            elif old is _ABSENT:
                table.pop(key, None)
            else:
                table[key] = old

    def set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Sets a dict's entry so that it can be undone."""
        self.undo_log.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def append(self, items: list[Any], item: Any) -> None:
        """Appends to a list so that it can be undone."""
        self.undo_log.append((None, items, len(items)))
        items.append(item)

    def distinct_keys(self) -> list[bytes]:
        """The distinct keys of the call, in order of appearance."""
        if self._distinct is None:
            self._distinct = [key for key in dict.fromkeys(self._keys) if key is not None]
        return self._distinct

    def current_key(self, what: str) -> bytes:
        """The key in progress, for a state or timer of this name."""
        if self.key is not None:
            return self.key
        if self.index is None:
            raise Fatal(
                f"{what}: no event is in progress, so there is no key; use keyed state and timers within process or on_timer"
            )
        raise Reject(f"{what}: the event has no key; give the source or the upstream operator one")

    def current_time(self, what: str) -> int:
        """The time of the event or timer in progress."""
        if self.time is None:
            raise Fatal(f"{what}: no event is in progress to take the time from; give the time with at=")
        return self.time


def checked_time(time_ms: int, what: str) -> int:
    """Refuses what is no time."""
    if not isinstance(time_ms, int):
        raise TypeError(f"{what}: {time_ms!r} is no time: whole milliseconds since 1970 are needed")
    if not -TIME_LIMIT_MS <= time_ms <= TIME_LIMIT_MS:
        raise Reject(f"{what}: {time_ms} ms is no time within +-(2^53 - 1)")
    return time_ms
