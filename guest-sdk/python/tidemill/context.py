"""Where and when a call runs: logical values, the same again on replay."""

from __future__ import annotations

from .call import Call
from .host import Subtask


class Context:
    """`self.context` of every operator and aggregator."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def now_ms(self) -> int:
        """The call's processing time, ms."""
        return self._call.host.now_ms()

    def subtask(self) -> Subtask:
        """Which copy of the operator this is."""
        return self._call.host.subtask()
