"""One column of an export: what its name and its values can be.

Belongs here: what is true of a column whatever it is used for. Does not belong here: which column is what (`columns`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Any, Final

from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.pipeline.sniffing.column_names import plain
from posthog_assets.pipeline.sniffing.time_formats import TimeFormat, time_format_of

#: Plausible instants of an export; a number outside is no time.
EARLIEST: Final = datetime(1995, 1, 1, tzinfo=UTC)
#: The share of values that must be instants, and that which is enough under a name that says so plainly.
TIMES: Final = 0.8
TIMES_BY_NAME: Final = 0.5
_MOST_VALUES: Final = 500

#: A clock with a zone in any of the ways in which one is written.
_ZONED: Final = re.compile(
    r".*\d:\d\d.*?(Z|z|UTC|GMT|[+-]\d\d(:?\d\d)?( [A-Z]{3,5})?(\[.*\])?|\[?[A-Za-z_]+/[\w/+-]+\]?)"
)
#: Digits that count from 1970; others are those of a date and a clock, which say no zone.
_EPOCH: Final = re.compile(r"\d{9,11}(\.\d+)?|\d{13}(\.\d+)?|\d{15,16}|\d{18,19}")
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")


@dataclass(frozen=True)
class Column:
    """The values of one path, of so many records."""

    path: str
    values: Sequence[Any]
    records: int

    @property
    def name(self) -> str:
        """The last part of the path, as names are compared."""
        return plain(self.path.rsplit(".", 1)[-1])

    @property
    def owner(self) -> str:
        """The part of the path before the last one, as names are compared; empty where there is none."""
        return plain(self.path.rpartition(".")[0].rsplit(".", 1)[-1])

    @property
    def has_no_name(self) -> bool:
        """Whether it is of a CSV file without a header."""
        return bool(re.fullmatch(r"column_\d+", self.path))

    @property
    def filled(self) -> float:
        """The share of records that have a value."""
        return len(self.values) / self.records

    @cached_property
    def distinct(self) -> int:
        return len({value if isinstance(value, str | int | float) else repr(value) for value in self.values})

    @property
    def unique(self) -> bool:
        return self.distinct == len(self.values)

    @cached_property
    def is_scalar(self) -> bool:
        """Whether all values may be ids: text, or whole numbers, which pandas writes as `7.0`."""
        return all(map(_is_scalar, self.values))

    @cached_property
    def is_clock(self) -> bool:
        """Whether all values are times of day."""
        return all(isinstance(value, str) and _CLOCK.fullmatch(value.strip()) for value in self.some)

    @cached_property
    def some(self) -> Sequence[Any]:
        """Not too many of the values, from all over."""
        return self.values[:: -(-len(self.values) // _MOST_VALUES)]

    @cached_property
    def _instants(self) -> tuple[list[datetime], TimeFormat | None]:
        """The values that are plausible instants, and the pattern if they need one."""
        if any(isinstance(value, bool | dict | list) for value in self.some):
            return [], None
        found = _plausible(self.some, None)
        if len(found) >= TIMES_BY_NAME * len(self.some):
            return found, None
        form = time_format_of(self.some, TIMES)
        return (_plausible(self.some, form.pattern), form) if form else (found, None)

    @property
    def times(self) -> float:
        """The share of values that are plausible instants."""
        return len(self._instants[0]) / len(self.some)

    @property
    def time_format(self) -> TimeFormat | None:
        """The pattern that its times need."""
        return self._instants[1]

    @property
    def is_of_days(self) -> bool:
        """Whether its times say a day and no time of day."""
        return self.distinct > 1 and all(moment.time() == time() for moment in self._instants[0])

    @property
    def is_zoned(self) -> bool:
        """Whether all times say their zone, or need none, as epochs do."""
        if self.time_format:
            return self.time_format.is_zoned
        return all(map(_is_zoned, self.some))


def _is_scalar(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, str | int) and not isinstance(value, bool)


def _plausible(values: Sequence[Any], pattern: str | None) -> list[datetime]:
    stamps, _ = read_timestamps(list(values), "UTC", pattern)
    latest = datetime.now(UTC)
    moments = [stamp.astimezone(UTC) for stamp in stamps.to_pylist() if stamp]
    return [moment for moment in moments if EARLIEST <= moment <= latest]


def _is_zoned(value: Any) -> bool:
    if isinstance(value, datetime):
        return value.tzinfo is not None
    if isinstance(value, date):
        return False
    text = str(value).strip()
    return bool(_EPOCH.fullmatch(text) or _ZONED.fullmatch(text))
