"""An aggregator as a component of world `aggregator`."""

from __future__ import annotations

from typing import Any

from wit_world.exports.aggregate import Accumulated, Finished

import main  # noqa: F401  (the project's module: it exports the aggregator)

from ..aggregator import AggregateRunner, Aggregator
from ..operator import exported
from . import AggregatorHost, Component, rejections

_component = Component(exported(Aggregator), AggregateRunner, AggregatorHost())


class Aggregate:
    """The exports, by their names in the WIT."""

    def describe(self) -> str:
        return _component.describe()

    def open(self, config: str) -> None:
        _component.open(config)

    def accumulate(self, events: Any, groups: bytes, accumulators: Any) -> Any:
        columns, refused = _component.call(lambda runner: runner.accumulate(events, groups, accumulators))
        return Accumulated(columns, rejections(refused))

    def merge(self, groups: bytes, accumulators: Any) -> Any:
        return _component.call(lambda runner: runner.merge(groups, accumulators))

    def finish(self, keys: Any, windows: Any, accumulators: Any) -> Any:
        rows, window_of = _component.call(lambda runner: runner.finish(keys, windows, accumulators))
        return Finished(rows, window_of)

    def close(self) -> None:
        _component.call(lambda runner: runner.close())
