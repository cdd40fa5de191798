"""The door to the host: what an operator's handles ask for, in columns. `component` opens it in Wasm, `testing` in memory."""

from __future__ import annotations

from typing import NamedTuple, Optional, Protocol, Sequence

from .columns import BatchColumns, Columns, OptionalColumns

#: Which clock a timer follows.
EVENT_TIME = "event-time"
PROCESSING_TIME = "processing-time"


class Subtask(NamedTuple):
    """Which of the parallel copies of an operator this is."""

    index: int
    parallelism: int
    max_parallelism: int


class Page(NamedTuple):
    """Some entries of a scan; with a cursor there is more."""

    subkeys: Columns
    values: Columns
    cursor: Optional[bytes]


class Host(Protocol):
    """The imports of world `processor`; `aggregator` has the last six."""

    def get(self, state: int, keys: Columns, subkeys: Optional[Columns]) -> OptionalColumns: ...

    def put(self, state: int, keys: Columns, subkeys: Optional[Columns], values: OptionalColumns) -> None: ...

    def append(self, state: int, keys: Columns, values: Columns) -> None: ...

    def clear(self, state: int, keys: Columns) -> None: ...

    def scan(
        self, state: int, key: bytes, start: Optional[bytes], end: Optional[bytes], limit: int, cursor: Optional[bytes]
    ) -> Page: ...

    def register(self, domain: str, timer: int, keys: Columns, times: bytes) -> None: ...

    def cancel(self, domain: str, timer: int, keys: Columns, times: bytes) -> None: ...

    def emit(self, port: int, events: BatchColumns) -> None: ...

    def add(self, metric: int, amount: int) -> None: ...

    def set(self, metric: int, value: float) -> None: ...

    def observe(self, metric: int, values: Sequence[float]) -> None: ...

    def subtask(self) -> Subtask: ...

    def now_ms(self) -> int: ...

    def log(self, level: str, message: str) -> None: ...
