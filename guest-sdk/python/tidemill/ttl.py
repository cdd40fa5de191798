"""Time to live of state: how `ttl=`, `clock=` and `refresh=` of a state become its entry in the descriptor."""

from __future__ import annotations

import re
from typing import Any, Optional

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_CLOCKS = {"processing": "processing-time", "event": "event-time"}
_REFRESHES = ("write", "read-and-write")
_MS_LIMIT = 1 << 53


def ttl_of(ttl: Optional[str], clock: Optional[str], refresh: Optional[str]) -> Optional[dict[str, Any]]:
    """What the descriptor says; None = for ever. What cannot be meant is the author's error."""
    if ttl is None:
        if clock is not None or refresh is not None:
            raise ValueError('`clock` and `refresh` are of `ttl`; write ttl="10s" with them')
        return None
    written = re.fullmatch(r"([0-9]+)(ms|s|m|h|d)", ttl) if isinstance(ttl, str) else None
    ms = int(written[1]) * _UNITS_MS[written[2]] if written else 0
    if not 0 < ms < _MS_LIMIT:
        raise ValueError(f'ttl={ttl!r}: write a duration above 0, as "500ms", "10s", "5m", "1h" or "2d"')
    if clock not in (None, *_CLOCKS):
        raise ValueError(f'clock={clock!r}: write "event" or "processing"')
    if refresh not in (None, *_REFRESHES):
        raise ValueError(f'refresh={refresh!r}: write "write" or "read-and-write"')
    return {"ms": ms, "clock": _CLOCKS[clock or "processing"], "refresh": refresh or "write"}
