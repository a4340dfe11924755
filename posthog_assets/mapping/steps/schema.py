"""The step that holds events against a plan of what they may carry.

Belongs here: required properties, allowed types and values. Does not belong here: changing values (`types`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, Literal

from pydantic import Field

from posthog_assets.core.errors import shorten
from posthog_assets.core.rejection import Rejected
from posthog_assets.core.sections import Section
from posthog_assets.mapping.steps.base import Event, Step
from posthog_assets.mapping.steps.name_patterns import STRUCTURE, Names

Type = Literal["text", "number", "int", "bool", "object", "array"]


class Rule(Section):
    """What one property may be; null is allowed unless the property is required."""

    type: Type | None = None
    values: list[Any] | None = Field(None, description="The only values allowed")
    min: float | None = Field(None, description="Smallest value")
    max: float | None = Field(None, description="Largest value")


class Schema(Step):
    """Hold events against a plan: what they must carry, what values may be, and what becomes of the rest.

    A wrong value rejects the event, or is dropped. A property the plan does not name (PostHog's `$…` aside) is kept,
    dropped, or rejects the event.

    `{step: schema, events: [order], required: [total], properties: {total: {type: number, min: 0}}, unknown: drop}`
    """

    required: list[str] = Field(default_factory=list, description="Properties an event must have")
    properties: dict[str, Rule] = Field(default_factory=dict, description="Property, and what its value may be")
    invalid: Literal["reject", "drop"] = Field(
        "reject", description="What a wrong value does: reject the event, or be left out"
    )
    unknown: Literal["keep", "drop", "reject"] = Field(
        "keep", description="What a property that is not named here does: stay, be left out, reject the event"
    )

    def apply(self, event: Event) -> None:
        bag = event.properties
        for name, rule in self.properties.items():
            value = bag.get(name)
            if value is None or (flaw := _flaw(name, value, rule)) is None:
                continue
            if self.invalid == "reject":
                raise Rejected(flaw)
            del bag[name]
        for name in self.required:
            if bag.get(name) is None:
                raise Rejected(f"{name} is required: {event.name}")
        if self.unknown != "keep":
            known = self._known
            for name in [name for name in bag if name not in STRUCTURE and not known.mean(name)]:
                if self.unknown == "reject":
                    raise Rejected(f"property is not in the schema: {shorten(name)}")
                del bag[name]

    @cached_property
    def _known(self) -> Names:
        return Names([*self.required, *self.properties, "$*"])


def _flaw(name: str, value: Any, rule: Rule) -> str | None:
    if rule.type and not _IS[rule.type](value):
        return f"{name} is not of type {rule.type}: {shorten(value)!r}"
    if rule.values is not None and not any(_same(value, one) for one in rule.values):
        return f"{name} is none of the allowed values: {shorten(value)!r}"
    if _is_number(value):
        if rule.min is not None and value < rule.min:
            return f"{name} is less than {rule.min:g}: {value}"
        if rule.max is not None and value > rule.max:
            return f"{name} is more than {rule.max:g}: {value}"
    return None


def _same(value: Any, other: Any) -> bool:
    # In Python true is 1, in JSON it is not.
    return value == other and isinstance(value, bool) is isinstance(other, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_IS: Final[dict[str, Callable[[Any], bool]]] = {
    "text": lambda value: isinstance(value, str),
    "number": _is_number,
    "int": lambda value: _is_number(value) and value == int(value),
    "bool": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}
