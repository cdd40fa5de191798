"""The component's side of the door: `processor` and `aggregator` are what componentize-py makes a component of. They import
the project's module `main`, and the bindings that exist in a component only."""

from __future__ import annotations

import json
from typing import Any, Callable, TypeVar

from componentize_py_types import Err
from wit_world.imports import context, log as host_log, metrics
from wit_world.imports.types import Failure_Fatal, Failure_Retry, Rejection

from .. import log
from ..errors import Fatal, Retry
from ..host import Subtask

R = TypeVar("R")


def write_line(level: str, message: str) -> None:
    host_log.log(host_log.Level[level.upper()], message)


log.use(write_line)


class AggregatorHost:
    """The imports of world `aggregator`."""

    log = staticmethod(write_line)
    add = staticmethod(metrics.add)
    set = staticmethod(metrics.set)
    now_ms = staticmethod(context.current_time)

    def observe(self, metric: int, values: Any) -> None:
        metrics.observe(metric, list(values))

    def subtask(self) -> Subtask:
        here = context.current_subtask()
        return Subtask(here.index, here.parallelism, here.max_parallelism)


class Component:
    """What both worlds export."""

    runner: Any = None

    def __init__(self, kind: Any, runner: Any, host: Any) -> None:
        self.kind, self.open_runner, self.host = kind, runner, host

    def describe(self) -> str:
        try:
            return json.dumps(self.kind.describe())
        except Exception as error:
            # No descriptor is better than a wrong one: the host refuses the empty string, and the log says why.
            write_line("error", f"{type(error).__name__}: {error}")
            return ""

    def open(self, config: str) -> None:
        def act() -> None:
            self.runner = self.open_runner(self.kind, self.host, config)

        answered(act)

    def call(self, act: Callable[[Any], R]) -> R:
        if self.runner is None:
            raise Err(Failure_Fatal("the host called the operator before `open`"))
        return answered(lambda: act(self.runner))


def answered(act: Callable[[], R]) -> R:
    """What goes wrong becomes the call's `failure`: anything else would be a trap and the end of the instance."""
    try:
        return act()
    except Retry as retry:
        raise Err(Failure_Retry(retry.after_ms))
    except Exception as error:
        raise Err(Failure_Fatal(str(error) if isinstance(error, Fatal) else f"{type(error).__name__}: {error}"))


def rejections(refused: Any) -> list[Rejection]:
    return [Rejection(index, reason) for index, reason in refused]
