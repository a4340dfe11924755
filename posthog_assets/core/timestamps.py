"""Reading times: every form in which a source writes an instant, read the same way wherever it stands.

Belongs here: reading a value, or a column of them, with what is known of it. Does not belong here: the forms themselves
(`timestamp_values`, `timestamp_numbers`, `timestamp_columns`), which column holds a time, what PostHog makes of it.

Dialects, steps and the splitter of days all read by this module, so that the same text is the same instant everywhere:

* ISO 8601, with `T` or a space, and with a zone in any of the ways databases write one (`Z`, ` UTC`, `+00`, ` +0000`,
  ` +0000 UTC`, ` Europe/Berlin`, `[Europe/Berlin]`). A zone in the text wins over every setting.
* Epochs in s, ms, µs or ns, as numbers or text; without a unit, they are told apart by magnitude.
* Digits of a date, `20240301` to `20240301103000123`, as numbers or text.
* Anything a `strptime` pattern describes.

A number says nothing of what it counts, so its reading must be plausible (`Window`): it is never guessed wrong, but
unreadable, with both readings in the reason. An unreadable time is never the present.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from posthog_assets.core.instants import NoInstant, Window
from posthog_assets.core.schemas import TIMESTAMP
from posthog_assets.core.timestamp_columns import in_range, instants_of_clocks, read_together
from posthog_assets.core.timestamp_values import read_value


def read_timestamps(
    values: list[Any], zone: str, pattern: str | None = None, unit: str | None = None, window: Window | None = None
) -> tuple[pa.Array, dict[int, str]]:
    """Return the instants (`timestamp[us, UTC]`, null where unreadable) and the reason by index of each null.

    *zone* is that of times without one; a time that a clock change repeats is its first occurrence, one it skips is
    read with the offset before the change, as Python does. *pattern* is for `strptime`; *unit* is s, ms, us or ns.
    *window* is what numbers without a unit may mean.
    """
    kinds = set(map(type, values))
    missing = type(None) in kinds
    if len(kinds) == 1 + missing:
        present = [value for value in values if value is not None] if missing else values
        fast = read_together(present, zone, pattern, unit, window)
        if fast is not None:
            return _with_nulls(fast, values) if missing else (fast, {})
    return _one_by_one(values, zone, pattern, unit, window)


def read_timestamp(
    value: Any, zone: tzinfo, pattern: str | None = None, unit: str | None = None, window: Window | None = None
) -> int:
    """Return the instant that one value names, in µs since 1970; as `read_timestamps`.

    Raises:
        NoInstant: it names none.
    """
    return read_value(value, zone, pattern, unit, window)


def from_wall_clock(stamps: pa.Array, zone: str) -> pa.Array:
    """Return the instants at which a clock in *zone* shows what *stamps* would show in UTC; null stays null.

    Clock changes are met as by `read_timestamps`; an instant outside the years 1 to 9999 is null.
    """
    naive = stamps.cast(pa.timestamp("us"))
    try:
        return in_range(instants_of_clocks(naive, zone))
    except pa.ArrowInvalid:
        return _one_by_one(naive.to_pylist(), zone, None, None, None)[0]


def pattern_flaw(pattern: str) -> str | None:
    """Return why `strptime` cannot read by *pattern*."""
    try:
        datetime.strptime("", pattern)  # noqa: DTZ007
    except ValueError as error:
        words = str(error)
        return None if words.startswith("time data") else words
    return "it describes no time"


def _one_by_one(
    values: list[Any], zone: str, pattern: str | None, unit: str | None, window: Window | None
) -> tuple[pa.Array, dict[int, str]]:
    info = ZoneInfo(zone)
    stamps = np.zeros(len(values), dtype=np.int64)
    reasons: dict[int, str] = {}
    for index, value in enumerate(values):
        try:
            stamps[index] = read_value(value, info, pattern, unit, window)
        except NoInstant as flaw:
            reasons[index] = str(flaw)
    mask = np.zeros(len(values), dtype=bool)
    mask[list(reasons)] = True
    return pa.array(stamps, pa.int64(), mask=mask).cast(TIMESTAMP), reasons


def _with_nulls(stamps: pa.Array, values: list[Any]) -> tuple[pa.Array, dict[int, str]]:
    """Return *stamps*, those of the values that are not None, in the places of these."""
    mask = np.array([value is None for value in values])
    places = np.cumsum(~mask) - 1
    reasons = dict.fromkeys(np.flatnonzero(mask).tolist(), "timestamp is empty")
    return stamps.take(pa.array(places, pa.int64(), mask=mask)), reasons
