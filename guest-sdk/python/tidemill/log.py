"""Lines for the operator's log. They reach the host at once and survive a dropped call."""

from __future__ import annotations

from typing import Callable

_sink: Callable[[str, str], None] = lambda level, message: None


def use(sink: Callable[[str, str], None]) -> None:
    """Where lines go, given by `component` or `testing`."""
    global _sink
    _sink = sink


def trace(message: object) -> None:
    """The finest detail."""
    _sink("trace", str(message))


def debug(message: object) -> None:
    """For developers."""
    _sink("debug", str(message))


def info(message: object) -> None:
    """What is normal."""
    _sink("info", str(message))


def warn(message: object) -> None:
    """What is odd."""
    _sink("warn", str(message))


def error(message: object) -> None:
    """What is broken."""
    _sink("error", str(message))
