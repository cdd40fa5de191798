"""How state becomes bytes: by the declared type. Sub-keys of maps are encoded so that their bytes sort as they do."""

from __future__ import annotations

import dataclasses
import json
from struct import Struct
from typing import Any, Callable, Generic, TypeVar

T = TypeVar("T")

_I64 = Struct("<q")
_U64_BIG = Struct(">Q")
_F64 = Struct("<d")


class Codec(Generic[T]):
    """Bytes of a value and back. Values of an `immutable` codec are kept as they are within a call and encoded once at its
    end; others are encoded on each write and decoded on each read, so that changing what was read changes no state."""

    def __init__(self, encode: Callable[[T], bytes], decode: Callable[[bytes], T], immutable: bool = False) -> None:
        self.encode = encode
        self.decode = decode
        self.immutable = immutable


def _only(kind: type, encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def checked(value: Any) -> bytes:
        if not isinstance(value, kind):
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return encode(value)

    return checked


def to_json(value: Any) -> bytes:
    """Compact JSON. NaN and infinities are refused: they are no JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


#: Anything that JSON can say.
JSON: Codec[Any] = Codec(to_json, json.loads)

_BY_TYPE: dict[Any, Codec[Any]] = {
    int: Codec(_only(int, _I64.pack), lambda b: _I64.unpack(b)[0], immutable=True),
    float: Codec(_only((int, float), _F64.pack), lambda b: _F64.unpack(b)[0], immutable=True),  # type: ignore[arg-type]
    bool: Codec(_only(bool, lambda v: b"\1" if v else b"\0"), lambda b: b != b"\0", immutable=True),
    str: Codec(_only(str, str.encode), lambda b: b.decode(), immutable=True),
    bytes: Codec(_only(bytes, bytes), bytes, immutable=True),
    dict: JSON,
    list: JSON,
    object: JSON,
    None: JSON,
}


def codec_of(declared: Any) -> Codec[Any]:
    """The codec of `int` (64 bits), `float`, `bool`, `str`, `bytes`, a dataclass of JSON values, `dict` or `list` (JSON), or
    a `Codec` of one's own."""
    if isinstance(declared, Codec):
        return declared
    if dataclasses.is_dataclass(declared):
        names = [field.name for field in dataclasses.fields(declared)]
        return Codec(
            _only(declared, lambda value: to_json({name: getattr(value, name) for name in names})),
            lambda data: declared(**json.loads(data)),
        )
    try:
        return _BY_TYPE[declared]
    except (KeyError, TypeError):
        raise TypeError(
            f"no codec for {declared!r}: declare int, float, bool, str, bytes, dict, list, a dataclass or a Codec"
        ) from None


class SubKey(Generic[T]):
    """A map's sub-key: its bytes sort as its values do, so that ranges mean what they say."""

    def __init__(self, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> None:
        self.encode = encode
        self.decode = decode


# Adding 2^63 puts negative numbers before the others.
_INT_KEY: SubKey[int] = SubKey(
    _only(int, lambda n: _U64_BIG.pack(n + (1 << 63))), lambda b: _U64_BIG.unpack(b)[0] - (1 << 63)
)
_STR_KEY: SubKey[str] = SubKey(_only(str, str.encode), lambda b: b.decode())
_BYTES_KEY: SubKey[bytes] = SubKey(_only(bytes, bytes), bytes)


def sub_key_of(declared: Any) -> SubKey[Any]:
    """`int` (64 bits), `str`, `bytes`, or `(int, str)` and the like: by the number first, then by the rest."""
    if isinstance(declared, SubKey):
        return declared
    if isinstance(declared, tuple) and len(declared) == 2 and declared[0] is int:
        rest = sub_key_of(declared[1])
        return SubKey(
            lambda pair: _INT_KEY.encode(pair[0]) + rest.encode(pair[1]),
            lambda data: (_INT_KEY.decode(data[:8]), rest.decode(data[8:])),
        )
    keys: dict[Any, SubKey[Any]] = {int: _INT_KEY, str: _STR_KEY, bytes: _BYTES_KEY}
    if declared not in keys:
        raise TypeError(f"no sub-key {declared!r}: declare int, str, bytes or (int, str)")
    return keys[declared]
