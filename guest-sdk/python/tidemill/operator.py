"""What the author of an operator writes. `runner` calls it."""

from __future__ import annotations

import re
from typing import Any, Optional

from .call import Rejection
from .context import Context
from .declare import describe
from .errors import Fatal
from .event import Batch, Event
from .timers import Timer


class Exported:
    """What operators and aggregators share: a name, a version, a configuration and a context."""

    #: The operator's name in its descriptor: the class's in lower case, unless given: `class Count(Operator, name="count")`.
    name: str = ""
    #: The operator's own version.
    version: str = ""
    #: JSON Schema of the configuration, for tools.
    config_schema: Optional[dict[str, Any]] = None
    #: The `config` table of the pipeline file.
    config: Any
    context: Context

    def __init_subclass__(cls, name: Optional[str] = None, version: str = "", **rest: Any) -> None:
        super().__init_subclass__(**rest)
        cls.name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()
        cls.version = version

    @classmethod
    def wants_watermarks(cls) -> bool:
        return False

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """What the host gets from `describe`."""
        return describe(cls)

    def open(self) -> None:
        """Once per instance, when the fields are ready."""

    def close(self) -> None:
        """When the pipeline ends or drains. There is no current key."""


class Operator(Exported):
    """An operator: events in, events out, with keyed state and timers, which are its class attributes.

    Each call of the host is a transaction, and within it each event is one: `Reject` undoes what the event did to states,
    timers, ports and metrics. Other attributes are memory of this instance only, and instances may be replaced at any time.
    """

    def process(self, event: Event) -> None:
        """One event."""
        raise Fatal(f"operator `{self.name}` implements neither `process` nor `process_batch`")

    def process_batch(self, batch: Batch) -> list[Rejection]:
        """All events of a call, for operators that work on columns. By default hands them to `process`."""
        return batch.each(self.process)

    def on_timer(self, timer: Timer) -> None:
        """A timer is due. Its key is the current key."""
        raise Fatal(f"timer `{timer.name}` fired, but operator `{self.name}` implements no `on_timer`")

    def on_watermark(self, watermark: int) -> None:
        """The watermark moved. The host calls it only if the class overrides it. There is no current key."""

    @classmethod
    def wants_watermarks(cls) -> bool:
        return cls.on_watermark is not Operator.on_watermark


_exported: list[Any] = []


def export(kind: Any) -> Any:
    """Makes an operator or aggregator the component's: `@export` above the class, once per project."""
    _exported.append(kind)
    return kind


def exported(base: type) -> Any:
    """The one that was exported, which must be of this kind."""
    if len(_exported) != 1:
        names = ", ".join(kind.__name__ for kind in _exported) or "none is"
        raise TypeError(f"exactly one class of the project has @export above it, but: {names}")
    if not issubclass(_exported[0], base):
        raise TypeError(f"{_exported[0].__name__} is no {base.__name__}: mend the class or `world` in tidemill.toml")
    return _exported[0]
