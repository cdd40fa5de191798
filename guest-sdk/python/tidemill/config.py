"""The operator's configuration, the `config` table of the pipeline file: `self.config` as JSON, or a dataclass."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, TypeVar, cast

from .declare import Field

T = TypeVar("T")


class _Config(Field):
    def __init__(self, kind: type) -> None:
        super().__init__()
        if not dataclasses.is_dataclass(kind):
            raise TypeError(f"Config needs a dataclass, not {kind!r}")
        self.kind = kind

    def open(self, call: Any, index: int, config: Any) -> Any:
        return read(self.kind, config)


def Config(kind: type[T]) -> T:
    """Declares that the configuration is this dataclass: `settings = Config(Settings)`. What does not fit it, an unknown
    name or a value of another type, makes the operator refuse to open."""
    return cast(T, _Config(kind))


def read(kind: Any, config: Any) -> Any:
    """A dataclass from a JSON object."""
    if not isinstance(config, dict):
        raise TypeError(f"it is {config!r}, no table")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in config:
        if name not in fields:
            raise ValueError(f"unknown field `{name}`; there are: {', '.join(fields)}")
    hints = typing.get_type_hints(kind)
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in config and not has_default:
            raise ValueError(f"missing field `{name}`")
        wanted = {float: (int, float)}.get(hints[name], hints[name])
        if name in config and isinstance(wanted, (type, tuple)):
            value = config[name]
            is_flag = isinstance(value, bool) and wanted is not bool
            if is_flag or not isinstance(value, wanted):
                raise TypeError(f"`{name}` is {value!r}, no {hints[name].__name__}")
    return kind(**config)
