"""Map state: sub-keys with values, in order, per key. Each entry is read when first needed; a cleared key is known to be
empty and asks the host nothing more. A scan merges what the host has with what this call wrote."""

from __future__ import annotations

from typing import Any, Callable, Generic, Iterator, Optional, TypeVar

from .codec import sub_key_of
from .columns import Columns, pack, pack_optional, unpack, unpack_optional
from .state import State, cannot_decode

K = TypeVar("K")
V = TypeVar("V")

_NOTHING: Any = object()


class _Entries:
    """What the call knows of one key."""

    __slots__ = ("cleared", "known", "dirty")

    def __init__(self, cleared: bool = False) -> None:
        self.cleared = cleared
        self.known: dict[bytes, Any] = {}
        self.dirty: dict[bytes, bool] = {}


class Map(State, Generic[K, V]):
    """Any number of `V` by `K` for the current key: `days = Map(int, dict)`."""

    entry = {"kind": "map"}

    def __init__(self, sub_key: Any, kind: Any = None, name: Optional[str] = None, **lasting: Optional[str]) -> None:
        super().__init__(kind, name, **lasting)
        self.sub_key = sub_key_of(sub_key)

    def start(self) -> None:
        self._keys: dict[bytes, _Entries] = {}

    def get(self, sub_key: K, default: Any = None) -> Any:
        """The value of a sub-key, or the default."""
        kept = self._kept(self._sub(sub_key))
        return default if kept is None else self._give(kept)

    def set(self, sub_key: K, value: V) -> None:
        """Sets the value of a sub-key."""
        self._write(self._sub(sub_key), self._keep(value))

    def remove(self, sub_key: K) -> None:
        """Removes a sub-key."""
        self._write(self._sub(sub_key), None)

    def pop(self, sub_key: K, default: Any = None) -> Any:
        """Removes a sub-key and gives its value back, or the default."""
        value = self.get(sub_key, _NOTHING)
        if value is _NOTHING:
            return default
        self.remove(sub_key)
        return value

    def update(self, sub_key: K, change: Callable[[Any], V], default: Any = None) -> V:
        """Replaces the value of a sub-key (or the default) by what `change` makes of it, and gives that back."""
        value = change(self.get(sub_key, default))
        self.set(sub_key, value)
        return value

    def clear(self) -> None:
        """Removes every entry of the current key."""
        key = self.call.current_key(self.name)
        self.call.set(self._keys, key, _Entries(cleared=True))

    def __contains__(self, sub_key: K) -> bool:
        return self._kept(self._sub(sub_key)) is not None

    def __getitem__(self, sub_key: K) -> Any:
        value = self.get(sub_key, _NOTHING)
        if value is _NOTHING:
            raise KeyError(sub_key)
        return value

    __setitem__ = set
    __delitem__ = remove

    def items(self, start: Optional[K] = None, end: Optional[K] = None, limit: Optional[int] = None) -> list[tuple[K, V]]:
        """The first `limit` entries with start <= sub-key < end, in order of their sub-keys; by default all."""
        first = None if start is None else self._sub(start)
        after = None if end is None else self._sub(end)
        found: list[tuple[K, V]] = []
        if limit is not None and limit <= 0:
            return found
        for sub, kept in self._merged(first, after, limit):
            try:
                found.append((self.sub_key.decode(sub), self._give(kept)))
            except (ValueError, TypeError) as error:
                raise cannot_decode(self.name, error) from error
            if len(found) == limit:
                break
        return found

    def keys(self) -> list[K]:
        """All sub-keys, in order."""
        return [sub_key for sub_key, _ in self.items()]

    def _sub(self, sub_key: K) -> bytes:
        return self.sub_key.encode(sub_key)

    def _entries(self) -> _Entries:
        key = self.call.current_key(self.name)
        entries = self._keys.get(key)
        if entries is None:
            entries = self._keys[key] = _Entries()
        return entries

    def _kept(self, sub: bytes) -> Any:
        entries = self._entries()
        if sub in entries.known:
            return entries.known[sub]
        if entries.cleared:
            return None
        columns = self.call.host.get(self.index, pack([self.call.current_key(self.name)]), pack([sub]))
        kept = entries.known[sub] = self._from_host(unpack_optional(columns)[0])
        return kept

    def _write(self, sub: bytes, kept: Any) -> None:
        entries = self._entries()
        self.call.set(entries.known, sub, kept)
        if sub not in entries.dirty:
            self.call.set(entries.dirty, sub, True)

    def _stored(self, start: Optional[bytes], end: Optional[bytes], limit: int) -> Iterator[tuple[bytes, bytes]]:
        key, cursor = self.call.current_key(self.name), None
        while True:
            page = self.call.host.scan(self.index, key, start, end, limit, cursor)
            yield from zip(unpack(page.subkeys), unpack(page.values))
            cursor = page.cursor
            if cursor is None:
                return

    def _merged(self, start: Optional[bytes], end: Optional[bytes], limit: Optional[int]) -> Iterator[tuple[bytes, Any]]:
        entries = self._entries()
        within = (s for s in entries.dirty if (start is None or start <= s) and (end is None or s < end))
        written = sorted(within, reverse=True)
        page = limit if limit is not None and limit < 1024 else 0
        for sub, data in () if entries.cleared else self._stored(start, end, page):
            while written and written[-1] < sub:
                earlier = written.pop()
                if entries.known[earlier] is not None:
                    yield earlier, entries.known[earlier]
            if written and written[-1] == sub:
                written.pop()
                if entries.known[sub] is not None:
                    yield sub, entries.known[sub]
            else:
                yield sub, self._from_host(data)
        for sub in reversed(written):
            if entries.known[sub] is not None:
                yield sub, entries.known[sub]

    def write_back(self) -> None:
        cleared = [key for key, entries in self._keys.items() if entries.cleared]
        written = [(key, sub, e.known[sub]) for key, e in self._keys.items() for sub in e.dirty]
        if cleared:
            self.call.host.clear(self.index, pack(cleared))
        if written:
            keys, subs, kept = zip(*written)
            values = pack_optional([self._to_host(one) for one in kept])
            subkeys: Columns = pack(subs)
            self.call.host.put(self.index, pack(keys), subkeys, values)
        self.drop()

    def drop(self) -> None:
        self._keys.clear()
