"""Write Tidemill operators in Python: a class whose attributes are states, ports and timers.

    from tidemill import Event, Operator, Output, Value, export

    @export
    class Count(Operator):
        seen = Value(int, default=0)
        counts = Output()

        def process(self, event: Event) -> None:
            n = self.seen.update(lambda n: n + 1)
            self.counts.emit(event.key, str(n))

The map. `operator` and `aggregator` (the classes to derive from) and `declare` (what an attribute is) face the author. `runner`
takes the host's calls and drives the operator event by event; `call` is the call in progress and can undo one event;
`state`, `map_state`, `list_state`, `output`, `timers` and `metrics` are the handles, written back once per call. `host` is the
door: `component` (the component's imports) or `testing` (memory, for `python -m unittest`).
"""

from . import log
from .aggregator import Aggregator, Rows, Window
from .call import TIME_LIMIT_MS
from .codec import JSON, Codec, SubKey
from .config import Config
from .context import Context
from .declare import Input
from .errors import Fatal, Reject, Retry, rejecting
from .event import Batch, Event
from .list_state import List
from .map_state import Map
from .metrics import Counter, Gauge, Histogram
from .operator import Operator, export
from .output import Output
from .state import Aggregating, Reducing, Value
from .timers import EventTimer, ProcessingTimer, Timer

#: Time, ms: no watermark has come yet.
NO_WATERMARK = -(2**63)
#: Time, ms: the watermark after the last event of a bounded input.
END_OF_INPUT = 2**63 - 1

__all__ = [
    "Aggregating", "Aggregator", "Batch", "Codec", "Config", "Context", "Counter", "END_OF_INPUT", "Event", "EventTimer",
    "Fatal", "Gauge", "Histogram", "Input", "JSON", "List", "Map", "NO_WATERMARK", "Operator", "Output", "ProcessingTimer",
    "Reducing", "Reject", "Retry", "Rows", "SubKey", "TIME_LIMIT_MS", "Timer", "Value", "Window", "export", "log", "rejecting",
]
