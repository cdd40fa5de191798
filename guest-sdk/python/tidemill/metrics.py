"""Metrics: counted during the call, undone with a refused event, handed to the host once per call."""

from __future__ import annotations

from .declare import Field


class Counter(Field):
    """Only grows."""

    section = "metrics"
    entry = {"kind": "counter"}

    def start(self) -> None:
        self._sum: dict[None, int] = {}

    def add(self, amount: int = 1) -> None:
        """Adds to it."""
        if not isinstance(amount, int) or amount < 0:
            raise ValueError(f"metric `{self.name}`: a counter grows by whole numbers, not by {amount!r}")
        self.call.set(self._sum, None, min(self._sum.get(None, 0) + amount, 2**64 - 1))

    def write_back(self) -> None:
        if self._sum:
            self.call.host.add(self.index, self._sum[None])
        self.drop()

    def drop(self) -> None:
        self._sum.clear()


class Gauge(Field):
    """The last value set."""

    section = "metrics"
    entry = {"kind": "gauge"}

    def start(self) -> None:
        self._value: dict[None, float] = {}

    def set(self, value: float) -> None:
        """Sets it."""
        self.call.set(self._value, None, float(value))

    def write_back(self) -> None:
        if self._value:
            self.call.host.set(self.index, self._value[None])
        self.drop()

    def drop(self) -> None:
        self._value.clear()


class Histogram(Field):
    """A distribution of values."""

    section = "metrics"
    entry = {"kind": "histogram"}

    def start(self) -> None:
        self._values: list[float] = []

    def observe(self, value: float) -> None:
        """Notes a value."""
        self.call.append(self._values, float(value))

    def write_back(self) -> None:
        if self._values:
            self.call.host.observe(self.index, self._values)
        self.drop()

    def drop(self) -> None:
        self._values = []
