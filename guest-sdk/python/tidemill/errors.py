"""What an operator raises when something is wrong: the kind says what the host should do about it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Optional


class Reject(Exception):
    """This event (or timer) is bad: what it did is undone, it goes to the dead letters, the next one follows."""


class Retry(Exception):
    """Something outside is not ready: the whole call is dropped and made again, after so many ms if given."""

    def __init__(self, after_ms: Optional[int] = None) -> None:
        if after_ms is not None and not 0 <= after_ms < 2**32:
            raise ValueError(f"Retry after {after_ms} ms: 0 to 2^32 - 1 are possible")
        super().__init__("retry" if after_ms is None else f"retry after {after_ms} ms")
        self.after_ms = after_ms


class Fatal(Exception):
    """Stop the pipeline, keep everything that is committed."""


@contextmanager
def rejecting(*kinds: type[Exception]) -> Iterator[None]:
    """Exceptions of these kinds, raised within, refuse the event: `with rejecting(KeyError, ValueError): ...`."""
    try:
        yield
    except kinds as error:
        raise Reject(f"{type(error).__name__}: {error}") from error
