"""Timers: registered and taken back for the current key, in one request per call; and the timer that fires."""

from __future__ import annotations

from .call import checked_time
from .columns import pack, pack_i64
from .declare import Field
from .errors import Reject
from .host import EVENT_TIME, PROCESSING_TIME


class TimerField(Field):
    """What both clocks share."""

    section = "timers"
    domain = EVENT_TIME

    def start(self) -> None:
        # The last operation on each (key, time) counts: True = register.
        self._operations: dict[tuple[bytes, int], bool] = {}

    def register(self, time_ms: int) -> None:
        """Registers it for the current key. A time that is already due fires right after the call."""
        self._set(time_ms, True)

    def cancel(self, time_ms: int) -> None:
        """Takes it back."""
        self._set(time_ms, False)

    def _set(self, time_ms: int, register: bool) -> None:
        time = checked_time(time_ms, f"timer `{self.name}`")
        self.call.set(self._operations, (self.call.current_key(self.name), time), register)

    def write_back(self) -> None:
        host = self.call.host
        for send, wanted in ((host.cancel, False), (host.register, True)):
            chosen = [operation for operation, register in self._operations.items() if register is wanted]
            if chosen:
                keys, times = zip(*chosen)
                send(self.domain, self.index, pack(keys), pack_i64(times))
        self.drop()

    def drop(self) -> None:
        self._operations.clear()


class EventTimer(TimerField):
    """Fires for a key when the operator's watermark reaches its time."""


class ProcessingTimer(TimerField):
    """Fires for a key when the clock reaches its time."""

    domain = PROCESSING_TIME

    def register_in(self, ms: int) -> int:
        """Registers it for the current key, so many ms from now, and says for when."""
        time = self.call.host.now_ms() + ms
        self.register(time)
        return time


class Timer:
    """A timer that is due."""

    __slots__ = ("key", "time", "source", "watermark")

    def __init__(self, key: bytes, time: int, source: TimerField, watermark: int) -> None:
        #: The key that it was registered for.
        self.key = key
        #: The time that it was registered for, ms.
        self.time = time
        #: The field that it was registered with: `if timer.source is self.day_end`.
        self.source = source
        #: The operator's watermark, ms.
        self.watermark = watermark

    @property
    def name(self) -> str:
        """The name of its field."""
        return self.source.name

    def key_text(self) -> str:
        """Its key as text; refuses the timer if that is not what it is."""
        try:
            return self.key.decode()
        except UnicodeDecodeError as error:
            raise Reject(f"the timer's key is not UTF-8 text: {error}") from None
