"""Columns as they cross the boundary (wit/README.md): byte strings end to end and little-endian buffers, and Python lists
of them. `runner`, `state`, `output` and `timers` pack and unpack; nothing else knows the layout."""

from __future__ import annotations

from itertools import accumulate
from struct import pack as _pack, unpack as _unpack
from typing import NamedTuple, Optional, Sequence


class Columns(NamedTuple):
    """Byte strings, none absent. The generated bindings take it for the record of the same fields."""

    data: bytes
    ends: bytes


class OptionalColumns(NamedTuple):
    """Byte strings that may be absent. `present` is empty when none is."""

    data: bytes
    ends: bytes
    present: bytes


class BatchColumns(NamedTuple):
    """Events, one per timestamp."""

    timestamps: bytes
    keys: OptionalColumns
    values: OptionalColumns
    headers: bytes


NO_COLUMNS = OptionalColumns(b"", b"", b"")
NO_EVENTS = BatchColumns(b"", NO_COLUMNS, NO_COLUMNS, b"")


def pack_u32(numbers: Sequence[int]) -> bytes:
    return _pack(f"<{len(numbers)}I", *numbers)


def unpack_u32(buffer: bytes) -> tuple[int, ...]:
    return _unpack(f"<{len(buffer) // 4}I", buffer)


def pack_i64(numbers: Sequence[int]) -> bytes:
    return _pack(f"<{len(numbers)}q", *numbers)


def unpack_i64(buffer: bytes) -> tuple[int, ...]:
    return _unpack(f"<{len(buffer) // 8}q", buffer)


def pack(values: Sequence[bytes]) -> Columns:
    return Columns(b"".join(values), pack_u32(list(accumulate(map(len, values)))))


def unpack(column: Columns | OptionalColumns) -> list[bytes]:
    data, stops = column.data, unpack_u32(column.ends)
    return [data[start:stop] for start, stop in zip((0, *stops), stops)]


def pack_optional(values: Sequence[Optional[bytes]]) -> OptionalColumns:
    if None not in values:
        return OptionalColumns(*pack(values), b"")  # type: ignore[arg-type]
    data, ends = pack([value or b"" for value in values])
    return OptionalColumns(data, ends, bytes(value is not None for value in values))


def unpack_optional(column: OptionalColumns) -> list[Optional[bytes]]:
    values: list[Optional[bytes]] = list(unpack(column))
    if column.present:
        for i, present in enumerate(column.present):
            if not present:
                values[i] = None
    return values
