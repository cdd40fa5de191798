"""List state: values appended per key. Appends of a call are sent in one request; reading puts them after what the host has."""

from __future__ import annotations

from typing import Any, Generic, Iterable, Iterator, Optional, TypeVar

from .columns import pack, unpack
from .state import State

T = TypeVar("T")


class _Items:
    """What the call knows of one key."""

    __slots__ = ("cleared", "appended", "stored")

    def __init__(self, cleared: bool = False) -> None:
        self.cleared = cleared
        self.appended: list[bytes] = []
        self.stored: Optional[list[bytes]] = [] if cleared else None


class List(State, Generic[T]):
    """A list of `T` for the current key: `orders = List(dict)`."""

    entry = {"kind": "list"}

    def start(self) -> None:
        self._keys: dict[bytes, _Items] = {}

    def append(self, value: T) -> None:
        """Appends a value."""
        self.call.append(self._items().appended, self._encode(value))

    def extend(self, values: Iterable[T]) -> None:
        """Appends values."""
        for value in values:
            self.append(value)

    def get(self) -> list[T]:
        """All values, in the order in which they were appended."""
        items = self._items()
        if items.stored is None:
            items.stored = list(self._stored())
        return [self._decode(data) for data in (*items.stored, *items.appended)]

    def __iter__(self) -> Iterator[T]:
        return iter(self.get())

    def clear(self) -> None:
        """Removes all values."""
        self.call.set(self._keys, self.call.current_key(self.name), _Items(cleared=True))

    def take(self) -> list[T]:
        """Removes all values and gives them back."""
        values = self.get()
        self.clear()
        return values

    def set(self, values: Iterable[T]) -> None:
        """Replaces all values."""
        self.clear()
        self.extend(values)

    def _items(self) -> _Items:
        key = self.call.current_key(self.name)
        items = self._keys.get(key)
        if items is None:
            items = self._keys[key] = _Items()
        return items

    def _stored(self) -> Iterator[bytes]:
        key, cursor = self.call.current_key(self.name), None
        while True:
            page = self.call.host.scan(self.index, key, None, None, 0, cursor)
            yield from unpack(page.values)
            cursor = page.cursor
            if cursor is None:
                return

    def write_back(self) -> None:
        cleared = [key for key, items in self._keys.items() if items.cleared]
        keys = [key for key, items in self._keys.items() for _ in items.appended]
        values: list[Any] = [value for items in self._keys.values() for value in items.appended]
        if cleared:
            self.call.host.clear(self.index, pack(cleared))
        if keys:
            self.call.host.append(self.index, pack(keys), pack(values))
        self.drop()

    def drop(self) -> None:
        self._keys.clear()
