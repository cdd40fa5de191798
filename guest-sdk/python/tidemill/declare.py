"""How class attributes become an operator's declaration: each is a `Field`, described once for the host and opened once per
instance. States, ports, timers, metrics and `Config` are fields."""

from __future__ import annotations

import copy
import json
import re
from typing import Any, Optional

from .call import Call
from .errors import Fatal

#: Version of the format, wit/descriptor.schema.json.
DESCRIPTOR_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Field:
    """A declared attribute. On an opened operator it is a copy that knows the call and its own index."""

    #: The descriptor's list that it stands in, and what its entry says beside the name.
    section: Optional[str] = None
    entry: dict[str, Any] = {}
    call: Call
    index: int

    def __init__(self, name: Optional[str] = None) -> None:
        self.name = name or ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.name = self.name or attribute.replace("_", "-")

    def open(self, call: Call, index: int, config: Any) -> Any:
        """What the attribute is on an opened operator."""
        opened = copy.copy(self)
        opened.call, opened.index = call, index
        opened.start()
        if hasattr(opened, "write_back"):
            call.parts.append(opened)  # type: ignore[arg-type]
        return opened

    def start(self) -> None:
        """Makes what the opened copy needs for itself."""


class Input(Field):
    """A named input, for operators with several: `event.is_from(self.orders)`."""

    section = "inputs"


def fields_of(operator: type) -> list[tuple[str, Field]]:
    """The declared attributes in order, those of base classes first."""
    found: dict[str, Field] = {}
    for kind in reversed(operator.__mro__):
        found.update((attribute, field) for attribute, field in vars(kind).items() if isinstance(field, Field))
    return list(found.items())


def describe(operator: Any) -> dict[str, Any]:
    """What the host gets from `describe`. Names that clash or cannot be written are the author's error."""
    lists: dict[str, list[dict[str, Any]]] = {"inputs": [], "outputs": [], "states": [], "timers": [], "metrics": []}
    for _, field in fields_of(operator):
        if field.section is not None:
            lists[field.section].append({"name": field.name, **field.entry})
    lists["inputs"] = lists["inputs"] or [{"name": "events"}]
    for section, entries in lists.items():
        names = [entry["name"] for entry in entries]
        for name in names:
            if not _NAME.fullmatch(name):
                raise Fatal(f"operator `{operator.name}`: {section} cannot have the name {name!r}: letters, digits, - and _ can")
            if names.count(name) > 1:
                raise Fatal(f"operator `{operator.name}` declares two {section} named `{name}`; give one another name=")
    descriptor: dict[str, Any] = {"descriptor": DESCRIPTOR_VERSION, "name": operator.name, "version": operator.version}
    descriptor.update(lists)
    descriptor["wants"] = {"watermarks": operator.wants_watermarks()}
    if operator.config_schema is not None:
        descriptor["config"] = operator.config_schema
    return descriptor


def open_fields(operator: Any, call: Call, config: str) -> None:
    """Puts opened fields on an instance."""
    try:
        settings = json.loads(config.strip() or "{}")
    except ValueError as error:
        raise Fatal(f"the configuration of operator `{operator.name}` is no JSON: {error}") from None
    settings = {} if settings is None else settings
    operator.config = settings
    counts: dict[Optional[str], int] = {}
    for attribute, field in fields_of(type(operator)):
        index = counts.get(field.section, 0)
        counts[field.section] = index + 1
        try:
            setattr(operator, attribute, field.open(call, index, settings))
        except (TypeError, ValueError) as error:
            raise Fatal(
                f"the configuration of operator `{operator.name}` does not fit: {error}; mend its `config` in the pipeline "
                f"file (it was {config})"
            ) from error
