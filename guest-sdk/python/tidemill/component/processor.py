"""An operator as a component of world `processor`."""

from __future__ import annotations

from typing import Any, Optional

from wit_world.imports import output, state, timers
from wit_world.imports.types import TimeDomain

import main  # noqa: F401  (the project's module: it exports the operator)

from ..host import EVENT_TIME, PROCESSING_TIME
from ..operator import Operator as Base, exported
from ..runner import Runner
from . import AggregatorHost, Component, rejections

_DOMAINS = {EVENT_TIME: TimeDomain.EVENT_TIME, PROCESSING_TIME: TimeDomain.PROCESSING_TIME}


class ProcessorHost(AggregatorHost):
    """The imports of world `processor`. The columns of `tidemill.columns` have the fields of the generated records."""

    get = staticmethod(state.get)
    put = staticmethod(state.put)
    append = staticmethod(state.append)
    clear = staticmethod(state.clear)
    emit = staticmethod(output.emit)

    def scan(
        self, of: int, key: bytes, start: Optional[bytes], end: Optional[bytes], limit: int, cursor: Optional[bytes]
    ) -> Any:
        return state.scan(of, [state.ScanRange(key, start, end)], limit, cursor)

    def register(self, domain: str, timer: int, keys: Any, times: bytes) -> None:
        timers.register(_DOMAINS[domain], timer, keys, times)

    def cancel(self, domain: str, timer: int, keys: Any, times: bytes) -> None:
        timers.cancel(_DOMAINS[domain], timer, keys, times)


_component = Component(exported(Base), Runner, ProcessorHost())


class Operator:
    """The exports, by their names in the WIT."""

    def describe(self) -> str:
        return _component.describe()

    def open(self, config: str) -> None:
        _component.open(config)

    def process(self, input: int, watermark: int, events: Any) -> list[Any]:
        return rejections(_component.call(lambda runner: runner.process(input, watermark, events)))

    def on_timers(self, fired: Any, watermark: int) -> list[Any]:
        return rejections(
            _component.call(lambda runner: runner.on_timers(fired.timer, fired.keys, fired.times, watermark))
        )

    def on_watermark(self, watermark: int) -> None:
        _component.call(lambda runner: runner.on_watermark(watermark))

    def close(self) -> None:
        _component.call(lambda runner: runner.close())
