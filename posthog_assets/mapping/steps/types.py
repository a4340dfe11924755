"""Steps on single values and the time: types, timestamp_parts.

Belongs here: what a value becomes as a number, a boolean, text or an instant. Does not belong here: which values are
allowed (`schema`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import orjson
from pydantic import Field, field_validator

from posthog_assets.core.errors import shorten
from posthog_assets.core.instants import NoInstant
from posthog_assets.core.rejection import Rejected
from posthog_assets.core.sections import TimeZone
from posthog_assets.core.timestamps import read_timestamp
from posthog_assets.mapping.steps.base import Event, OfProperties, Step
from posthog_assets.mapping.steps.name_patterns import Names

Type = Literal["int", "float", "bool", "text", "timestamp"]

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001

_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})


class Types(OfProperties):
    """Make values int, float, bool, text or timestamp (ISO 8601, UTC); null stays null.

    Texts are read as people write them: `" 12.0 "` is the int 12, `yes` the bool true. An instant is ISO 8601 or an
    epoch in s, ms, µs or ns. A value that cannot be read is kept, becomes null, or rejects the event.

    `{step: types, types: {price: float, "is_*": bool, created: timestamp}, on_failure: keep, timezone: Europe/Berlin}`
    """

    types: dict[str, Type] = Field(min_length=1, description="Property, or a pattern with *, and the type it gets")
    on_failure: Literal["keep", "null", "reject"] = Field(
        "keep", description="What becomes of a value that cannot be read: it stays, is null, or rejects the event"
    )
    timezone: TimeZone = Field("UTC", description="Of instants without one")

    @field_validator("on_failure", mode="before", json_schema_input_type=Literal["keep", "null", "reject"] | None)
    @classmethod
    def _null_is_a_word(cls, value: Any) -> Any:
        # YAML reads `on_failure: null` as no text.
        return "null" if value is None else value

    def apply(self, event: Event) -> None:
        for bag in event.bags(self.scope):
            for names, kind in self._wishes:
                for name in names.of(bag):
                    value = bag[name]
                    if value is None:
                        continue
                    made = _READ[kind](value, self.timezone)
                    if made is not None:
                        bag[name] = made
                    elif self.on_failure == "reject":
                        raise Rejected(f"{name} cannot be read as {kind}: {shorten(value)!r}")
                    elif self.on_failure == "null":
                        bag[name] = None

    @cached_property
    def _wishes(self) -> list[tuple[Names, Type]]:
        return [(Names([name]), kind) for name, kind in self.types.items()]


def number(value: Any) -> int | float | None:
    """Return the number *value* is or writes, None where there is none."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or "_" in value:
        return None
    try:
        return int(value)
    except ValueError:
        pass
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _int(value: Any, zone: str) -> int | None:
    found = number(value)
    if found is None or found != int(found):
        return None
    # JSON numbers beyond 64 bits cannot be written.
    return int(found) if -(2**63) <= found < 2**64 else None


def _float(value: Any, zone: str) -> float | None:
    found = number(value)
    try:
        return None if found is None else float(found)
    except OverflowError:
        return None


def _bool(value: Any, zone: str) -> bool | None:
    if isinstance(value, str):
        text = value.strip().lower()
        return True if text in _TRUE else False if text in _FALSE else None
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def _text(value: Any, zone: str) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _timestamp(value: Any, zone: str) -> str | None:
    try:
        micros = read_timestamp(value, ZoneInfo(zone))
    except NoInstant:
        return None
    return (_EPOCH + timedelta(microseconds=micros)).isoformat() + "Z"


_READ: Final[dict[str, Callable[[Any, str], Any]]] = {
    "int": _int, "float": _float, "bool": _bool, "text": _text, "timestamp": _timestamp
}  # fmt: skip

Part = Literal["year", "quarter", "month", "week", "date", "day", "day_of_the_week", "weekend", "hour", "minute"]


class TimestampParts(Step):
    """Say an event's hour, weekday and so on, in a time zone, under the names PostHog's own transformation uses.

    `{step: timestamp_parts, parts: [hour, day_of_the_week], timezone: Europe/Berlin, prefix: local_}`
    """

    parts: list[Part] = Field(min_length=1, description="Which parts of the time become properties")
    timezone: TimeZone = Field("UTC", description="In whose time the parts are")
    prefix: str = Field("", description="Begins the names of the properties")

    def apply(self, event: Event) -> None:
        local = event.timestamp.astimezone(self._zone)
        for part in self.parts:
            event.properties[self.prefix + part] = _PARTS[part](local)

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_PARTS: Final[dict[str, Callable[[datetime], Any]]] = {
    "year": lambda at: at.year,
    "quarter": lambda at: (at.month + 2) // 3,
    "month": lambda at: at.month,
    "week": lambda at: at.isocalendar().week,
    "date": lambda at: at.date().isoformat(),
    "day": lambda at: at.day,
    "day_of_the_week": lambda at: _DAYS[at.weekday()],
    "weekend": lambda at: at.weekday() >= 5,
    "hour": lambda at: at.hour,
    "minute": lambda at: at.minute,
}
