"""Value state, and folds over it: one value per key, a write-back cache of one call. The first read in a call fetches the
value of every key of the batch in one request; everything written goes to the host in one request at the end."""

from __future__ import annotations

from typing import Any, Callable, Generic, Optional, TypeVar

from .codec import Codec, codec_of
from .columns import pack, pack_optional, unpack_optional
from .declare import Field
from .errors import Fatal
from .ttl import ttl_of

T = TypeVar("T")
A = TypeVar("A")


def cannot_decode(state: str, error: Exception) -> Fatal:
    """Stored bytes that are no such value are never an event's fault: the operator changed, or the codec did."""
    return Fatal(
        f"state `{state}`: what is stored cannot be read as the declared type: {type(error).__name__}: {error}; rename the state "
        "to start it empty, or go back to the version of the operator that wrote it"
    )


class State(Field):
    """What the kinds of keyed state share: a codec, errors that name the state, and how long its entries last: `ttl="10s"` after they
    were written, with `clock="event"` by the watermark, with `refresh="read-and-write"` after they were last read, too."""

    section = "states"

    def __init__(
        self,
        kind: Any = None,
        name: Optional[str] = None,
        ttl: Optional[str] = None,
        clock: Optional[str] = None,
        refresh: Optional[str] = None,
    ) -> None:
        super().__init__(name)
        self.codec: Codec[Any] = codec_of(kind)
        lasting = ttl_of(ttl, clock, refresh)
        self.entry = {**self.entry, "ttl": lasting} if lasting else self.entry

    def _encode(self, value: Any) -> bytes:
        try:
            return self.codec.encode(value)
        except Exception as error:
            raise Fatal(f"state `{self.name}`: the value cannot be encoded: {type(error).__name__}: {error}") from error

    def _decode(self, data: bytes) -> Any:
        try:
            return self.codec.decode(data)
        except Exception as error:
            raise cannot_decode(self.name, error) from error

    # Within a call an immutable value is kept as it is, any other as bytes.

    def _keep(self, value: Any) -> Any:
        return value if self.codec.immutable else self._encode(value)

    def _give(self, kept: Any) -> Any:
        return kept if self.codec.immutable else self._decode(kept)

    def _from_host(self, data: Optional[bytes]) -> Any:
        return self._decode(data) if data is not None and self.codec.immutable else data

    def _to_host(self, kept: Any) -> Optional[bytes]:
        return self._encode(kept) if kept is not None and self.codec.immutable else kept


class Value(State, Generic[T]):
    """One `T` for the current key: `seen = Value(int, default=0)`. A default that can be called is called each time."""

    entry = {"kind": "value"}

    def __init__(self, kind: Any = None, default: Any = None, name: Optional[str] = None, **lasting: Optional[str]) -> None:
        super().__init__(kind, name, **lasting)
        self.default = default

    def start(self) -> None:
        self._known: dict[bytes, Any] = {}
        self._dirty: dict[bytes, bool] = {}

    def get(self) -> Any:
        """The value, or the default."""
        key = self.call.key
        if key not in self._known:
            self._fetch()
        kept = self._known[key]
        if kept is None:
            return self.default() if callable(self.default) else self.default
        return self._give(kept)

    def set(self, value: T) -> None:
        """Sets the value."""
        if value is None:
            raise Fatal(f"state `{self.name}`: None cannot be stored; clear() removes the value")
        self._write(self._keep(value))

    def clear(self) -> None:
        """Removes the value."""
        self._write(None)

    def take(self) -> Any:
        """Removes the value and gives it back, or the default."""
        value = self.get()
        if self._known[self.call.key] is not None:
            self.clear()
        return value

    def update(self, change: Callable[[Any], T]) -> T:
        """Replaces the value (or the default) by what `change` makes of it, and gives that back."""
        value = change(self.get())
        self.set(value)
        return value

    def _write(self, kept: Any) -> None:
        call = self.call
        key = call.current_key(self.name)
        call.set(self._known, key, kept)
        if key not in self._dirty:
            call.set(self._dirty, key, True)

    def _fetch(self) -> None:
        call = self.call
        call.current_key(self.name)

        unknown = [key for key in call.distinct_keys() if key not in self._known]
        values = unpack_optional(call.host.get(self.index, pack(unknown), None))
        for key, data in zip(unknown, values):
            self._known[key] = self._from_host(data)

    def write_back(self) -> None:
        if self._dirty:

            keys = list(self._dirty)
            values = pack_optional([self._to_host(self._known[key]) for key in keys])
            self.call.host.put(self.index, pack(keys), None, values)
        self.drop()

    def drop(self) -> None:
        self._known.clear()
        self._dirty.clear()


class Folding(Value[Any]):
    """Value state that folds what is added."""

    def __init__(
        self, kind: Any, fold: Callable[..., Any], result: Callable[..., Any], name: Optional[str], **lasting: Optional[str]
    ) -> None:
        super().__init__(kind, None, name, **lasting)
        self.fold = fold
        self.result = result

    def add(self, one: Any) -> None:
        """Folds one in."""
        self.set(self.fold(super().get(), one))

    def get(self) -> Any:
        """The result so far; None when nothing was added."""
        kept = super().get()
        return None if kept is None else self.result(kept)


def Reducing(kind: Any, reduce: Callable[[T, T], T], name: Optional[str] = None, **lasting: Optional[str]) -> Folding:
    """What was added for the current key, folded into one of its kind: `highest = Reducing(int, max)`."""
    return Folding(kind, lambda kept, one: one if kept is None else reduce(kept, one), lambda kept: kept, name, **lasting)


def Aggregating(
    kind: Any,
    start: Callable[[], A],
    add: Callable[[A, Any], A],
    result: Callable[[A], Any],
    name: Optional[str] = None,
    **lasting: Optional[str],
) -> Folding:
    """A fold whose accumulator, of type `kind`, is neither what goes in nor what comes out."""
    return Folding(kind, lambda kept, one: add(start() if kept is None else kept, one), result, name, **lasting)
