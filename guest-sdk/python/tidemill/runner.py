"""Drives an operator: takes the host's calls, begins and ends the call, hands events over one by one. `component` and
`testing` own one runner per instance."""

from __future__ import annotations

from typing import Any, Callable, Optional, TypeVar

from .call import Call, Rejection
from .columns import BatchColumns, Columns, unpack, unpack_i64
from .context import Context
from .declare import fields_of, open_fields
from .errors import Fatal, Reject, Retry
from .event import Batch
from .host import Host
from .operator import Operator
from .timers import Timer, TimerField

R = TypeVar("R")


def traceback(error: Optional[BaseException]) -> str:
    """As Python shows it, without the lines of source: looking for files is a trap in a component."""
    lines: list[str] = []
    while error is not None:
        frames, step = ["Traceback (most recent call last):"], error.__traceback__
        while step is not None:
            code = step.tb_frame.f_code
            frames.append(f'  File "{code.co_filename}", line {step.tb_lineno}, in {code.co_name}')
            step = step.tb_next
        lines[:0] = [*frames, f"{type(error).__name__}: {error}", *(["which led to:"] if lines else [])]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


class Session:
    """An opened operator or aggregator and its calls: each is written back, or dropped with a `Retry` or `Fatal`."""

    def __init__(self, kind: Any, host: Host, config: str) -> None:
        self.call = Call(host)
        self.descriptor = kind.describe()
        self.exported = kind()
        self.exported.context = Context(self.call)
        self._guarded(lambda: open_fields(self.exported, self.call, config))
        self.outside_events(self.exported.open)

    def outside_events(self, act: Callable[[], Any]) -> None:
        """A call that is about no event."""
        self.call.begin()
        self.guarded(act)

    def guarded(self, act: Callable[[], R]) -> R:
        """Runs a call to its end."""
        return self._guarded(lambda: self._written(act()))

    def _written(self, result: R) -> R:
        self.call.write_back()
        return result

    def _guarded(self, act: Callable[[], R]) -> R:
        try:
            return act()
        except (Retry, Fatal):
            self.call.drop()
            raise
        except Reject as reason:
            # Where there is no event to refuse, refusing is fatal.
            self.call.drop()
            raise Fatal(str(reason)) from reason
        except Exception as error:
            at = "" if self.call.index is None else f" (at event or timer {self.call.index} of the call)"
            self.call.host.log("error", f"{traceback(error)}{at}")
            self.call.drop()
            raise Fatal(f"{type(error).__name__}: {error}{at}; the traceback is in the operator's log") from error

    def close(self) -> None:
        self.outside_events(self.exported.close)


class Runner(Session):
    """An opened operator."""

    def __init__(self, kind: type[Operator], host: Host, config: str) -> None:
        super().__init__(kind, host, config)
        operator = self.exported
        fields = [getattr(operator, attribute) for attribute, _ in fields_of(kind)]
        self._timers = [field for field in fields if isinstance(field, TimerField)]

    def process(self, input: int, watermark: int, columns: BatchColumns) -> list[Rejection]:
        batch = Batch(self.call, columns, input, watermark)
        self.call.begin(batch.keys)
        return self.guarded(lambda: self.exported.process_batch(batch) or [])

    def on_timers(self, timer: int, keys: Columns, times: bytes, watermark: int) -> list[Rejection]:
        due, when, source = unpack(keys), unpack_i64(times), self._timers[timer]
        self.call.begin(due)
        on_timer = self.exported.on_timer
        handle = lambda i: on_timer(Timer(due[i], when[i], source, watermark))
        return self.guarded(lambda: self.call.each(due, when, handle))

    def on_watermark(self, watermark: int) -> None:
        self.outside_events(lambda: self.exported.on_watermark(watermark))
