"""Stretches of time, and how an API wants them written.

Belongs here: a day's window, halving it, and the texts of its ends. Does not belong here: asking for it (`pages`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from posthog_assets.core.sections import Section
from posthog_assets.sources.formats.json_paths import steps_of

_FORMATS: Final = {
    "epoch_seconds": timedelta(seconds=1),
    "epoch_milliseconds": timedelta(milliseconds=1),
    "iso8601": timedelta(seconds=1),
    "date": timedelta(days=1),
}

#: The finest part of a pattern, and how long it lasts.
_PARTS: Final = (("%f", timedelta(microseconds=1)), ("%S", timedelta(seconds=1)), ("%s", timedelta(seconds=1)),
                 ("%M", timedelta(minutes=1)), ("%H", timedelta(hours=1)))  # fmt: skip

_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Incremental(Section):
    """How the API is asked for a stretch of time.

    The ends go into the parameters `start_param` and `end_param`, or wherever `{incremental.start_value}` and
    `{incremental.end_value}` stand in the path, the parameters or the body.
    """

    cursor_path: str = Field(min_length=1, description="Where a record says its time: what the API filters by")
    start_param: str | None = Field(None, description="Parameter that takes the beginning of the day")
    end_param: str | None = Field(None, description="Parameter that takes the end of the day")
    format: str = Field(
        "iso8601", description="iso8601, epoch_seconds, epoch_milliseconds, date, or a strftime pattern"
    )

    @field_validator("cursor_path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        steps_of(value)
        return value

    @field_validator("format")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in _FORMATS and "%" not in value:
            raise ValueError(f"must be one of {', '.join(_FORMATS)}, or a pattern such as %Y-%m-%d %H:%M:%S")
        return value

    @property
    def unit(self) -> timedelta:
        """The finest step of time that the format can say."""
        return _FORMATS.get(self.format) or next((unit for part, unit in _PARTS if part in self.format), _DAY)

    @property
    def end_params(self) -> dict[str, str]:
        """The parameters that take an end, `start` or `end`, by this name."""
        pairs = {"start": self.start_param, "end": self.end_param}
        return {end: param for end, param in pairs.items() if param}

    def value(self, moment: datetime, zone: ZoneInfo) -> Any:
        """Return *moment* as the API wants it: a number, or text in *zone* (iso8601: in UTC, with Z)."""
        match self.format:
            case "epoch_seconds":
                return (moment - _EPOCH) // timedelta(seconds=1)
            case "epoch_milliseconds":
                return (moment - _EPOCH) // timedelta(milliseconds=1)
            case "iso8601":
                return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            case "date":
                return moment.astimezone(zone).date().isoformat()
        return moment.astimezone(zone).strftime(self.format)

    def ends(
        self, window: Window, zone: ZoneInfo, *, start_exclusive: bool, end_inclusive: bool, margin: timedelta
    ) -> tuple[Any, Any]:
        """Return the ends to ask for, so that all of *window* comes, and *margin* on either side.

        An end that the API includes stays where it is, since its records may be finer than the format: what lies on it
        is left out by its time. But a date that is included is all of that day.
        """
        start = window.start - self.unit if start_exclusive else window.start
        end = window.end - self.unit if end_inclusive and self.unit >= _DAY else window.end
        return self.value(start - margin, zone), self.value(end + margin, zone)


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` (included) to `end` (excluded), UTC; `code` tells the windows of a day apart."""

    start: datetime
    end: datetime
    code: str = ""

    @property
    def micros(self) -> tuple[int, int]:
        """Both ends in µs since 1970."""
        micro = timedelta(microseconds=1)
        return (self.start - _EPOCH) // micro, (self.end - _EPOCH) // micro

    def halves(self, unit: timedelta) -> tuple[Window, Window] | None:
        """Return two windows that make up this one, whose border is a multiple of *unit*; None: it is too short."""
        steps = (self.end - self.start) // unit
        if steps < 2:
            return None
        middle = self.start + unit * (steps // 2)
        return Window(self.start, middle, f"{self.code}a"), Window(middle, self.end, f"{self.code}b")


def day_window(day: date, zone: ZoneInfo) -> Window:
    """Return *day* from midnight to midnight in *zone*."""
    return Window(midnight(day, zone), midnight(day + timedelta(days=1), zone))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
