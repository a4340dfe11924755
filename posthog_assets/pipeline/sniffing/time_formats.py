"""Guessing the `strptime` pattern of times that are not read without one, such as `31.12.2024 23:59`.

Belongs here: patterns, and which of two is meant where both read every time. Does not belong here: reading times
(`core.timestamps`), or which column holds them (`columns`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.timestamps import read_timestamps

_MONTH: Final = r"(?:[A-Z][a-z]{2,8})"
#: How a date is written, and the patterns that it may have; a pattern's `/` stands for the separator that was found.
_DATES: Final = (
    # With dots the day comes first wherever dates are written so.
    (re.compile(r"\d{1,2}(?P<sep>[.])\d{1,2}[.]\d{4}"), ("%d/%m/%Y",)),
    (re.compile(r"\d{1,2}(?P<sep>[.])\d{1,2}[.]\d{2}(?!\d)"), ("%d/%m/%y",)),
    (re.compile(r"\d{1,2}(?P<sep>[/-])\d{1,2}(?P=sep)\d{4}"), ("%d/%m/%Y", "%m/%d/%Y")),
    (re.compile(r"\d{1,2}(?P<sep>[/-])\d{1,2}(?P=sep)\d{2}(?!\d)"), ("%d/%m/%y", "%m/%d/%y")),
    (re.compile(r"\d{4}(?P<sep>[./])\d{1,2}(?P=sep)\d{1,2}"), ("%Y/%m/%d",)),
    (re.compile(rf"\d{{1,2}}(?P<sep>[ /-]){_MONTH}(?P=sep)\d{{4}}"), ("%d/%b/%Y", "%d/%B/%Y")),
    (re.compile(rf"{_MONTH}(?P<sep> )\d{{1,2}}, \d{{4}}"), ("%b/%d, %Y", "%B/%d, %Y")),
    (re.compile(rf"{_MONTH}, \d{{1,2}}(?P<sep> ){_MONTH} \d{{4}}"), ("%a, %d/%b/%Y",)),
    (re.compile(rf"{_MONTH}(?P<sep> ){_MONTH} \d{{1,2}} \d{{4}}"), ("%a/%b/%d/%Y",)),
)
_CLOCK: Final = re.compile(
    r"(?P<gap>,? |T|:)(?P<clock>\d{1,2}:\d{2}(?P<seconds>:\d{2}(?P<part>\.\d{1,9})?)?)(?P<half> ?[AaPp][Mm])?"
    r"(?P<zone> ?(?:[+-]\d{2}:?\d{2}|Z|UTC|GMT))?"
)
#: Texts whose patterns are tried: the first one may be none of a time.
_LOOKED_AT: Final = 5


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """A pattern that reads times; `other` is one that reads them all, too, as other days."""

    pattern: str
    other: str | None = None

    @property
    def is_zoned(self) -> bool:
        return "%z" in self.pattern or "%Z" in self.pattern


def time_format_of(values: Sequence[Any], least: float) -> TimeFormat | None:
    """Return the pattern that reads at least this share of *values*, None where none does."""
    texts = [value.strip() for value in values if isinstance(value, str)]
    if not texts or len(texts) < least * len(values):
        return None
    read = {}
    for pattern in dict.fromkeys(pattern for text in texts[:_LOOKED_AT] for pattern in _patterns(text)):
        stamps, flaws = read_timestamps(list(values), "UTC", pattern)
        if len(values) - len(flaws) >= least * len(values):
            read[pattern] = (len(flaws), _days(stamps))
    if not read:
        return None
    # Read as months, days are scattered over the year: the pattern by which they lie closer together is meant.
    fewest = min(flaws for flaws, _ in read.values())
    best = sorted((days, pattern) for pattern, (flaws, days) in read.items() if flaws == fewest)
    return TimeFormat(best[0][1], next((pattern for days, pattern in best[1:]), None))


def _patterns(text: str) -> Iterator[str]:
    for date, patterns in _DATES:
        if found := date.match(text):
            rest = _clock(text[found.end() :])
            if rest is not None:
                yield from (pattern.replace("/", found["sep"]) + rest for pattern in patterns)


def _clock(text: str) -> str | None:
    """Return the pattern of what follows a date, None where it is no time of day."""
    if not text:
        return ""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hour, half = ("%I", found["half"][:-2] + "%p") if found["half"] else ("%H", "")
    seconds = (":%S" if found["seconds"] else "") + (".%f" if found["part"] else "")
    zone = found["zone"] or ""
    named = "%Z" if zone.strip().isalpha() else "%z"
    return f"{found['gap']}{hour}:%M{seconds}{half}" + (zone[: len(zone) - len(zone.lstrip())] + named if zone else "")


def _days(stamps: pa.Array) -> int:
    """Return how many days lie between the first and the last of *stamps*."""
    edges = pc.min_max(stamps.drop_null()).as_py()
    return int((edges["max"] - edges["min"]).days) if edges["max"] else 0
