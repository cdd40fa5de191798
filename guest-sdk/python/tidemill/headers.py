"""The headers column of a batch (wit/README.md): one entry per event, or nothing when no event has any."""

from __future__ import annotations

from struct import pack as _pack, unpack_from as _unpack_from
from typing import Sequence, Tuple

Header = Tuple[str, bytes]

#: Most headers of one event.
HEADERS_PER_EVENT_MAX = 1024


def encode(headers: Sequence[Header]) -> bytes:
    """One event's entry."""
    parts = [_pack("<I", len(headers))]
    for name, value in headers:
        for piece in (name.encode(), value):
            parts.append(_pack("<I", len(piece)))
            parts.append(piece)
    return b"".join(parts)


def decode_all(column: bytes, events: int) -> list[tuple[Header, ...]]:
    """The headers of each of so many events; the host has checked the column."""
    if not column:
        return [()] * events
    entries = []
    at = 0
    for _ in range(events):
        (count,) = _unpack_from("<I", column, at)
        at += 4
        pieces = []
        for _ in range(2 * count):
            (length,) = _unpack_from("<I", column, at)
            pieces.append(column[at + 4 : at + 4 + length])
            at += 4 + length
        entries.append(tuple((name.decode(), value) for name, value in zip(pieces[::2], pieces[1::2])))
    return entries
