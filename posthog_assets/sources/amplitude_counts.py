"""How many events Amplitude itself counts, by day and name.

Belongs here: its event segmentation. Does not belong here: comparing the numbers with an import's.

Reference: amplitude.com/docs/apis/analytics/dashboard-rest. One request is about one event name, and 365 days at most;
both dates are inclusive, days are those of the project's time zone. Five requests may run at once; what one costs grows
with its days.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

import orjson

from posthog_assets.core.errors import SourceRefused
from posthog_assets.sources.amplitude import Amplitude

_PATH: Final = "/api/2/events/segmentation"
_MOST_BYTES: Final = 16 << 20

#: Daily counts are answered for so many days at most.
_DAYS: Final = 365


def amplitude_counts(source: Amplitude, first: date, last: date, names: list[str]) -> Iterator[tuple[date, str, int]]:
    """Yield (day, event, count) of the events *names* on the project's days *first* to *last*.

    Raises:
        ImportFileError: credentials are missing.
        SourceRefused: Amplitude refuses, or answers something else.
        SourceUnavailable: it does not answer.
    """
    api = source.api()
    for name in names:
        for start in range(0, (last - first).days + 1, _DAYS):
            begin = first + timedelta(days=start)
            end = min(last, begin + timedelta(days=_DAYS - 1))
            fields = {
                "e": orjson.dumps({"event_type": name}).decode(), "m": "totals", "i": "1", "start": f"{begin:%Y%m%d}",
                "end": f"{end:%Y%m%d}",
            }  # fmt: skip
            for day, count in _read(api.read("GET", _PATH, _MOST_BYTES, fields=fields), api.base).items():
                yield day, name, count


def _read(body: bytes, base: str) -> dict[date, int]:
    """Return the counts by day: `xValues` are the days, each series has a number for each of them."""
    try:
        data: Any = orjson.loads(body)["data"]
        days = [date.fromisoformat(str(day)[:10]) for day in data["xValues"]]
        counts = dict.fromkeys(days, 0)
        for series in data["series"]:
            for day, value in zip(days, series, strict=True):
                counts[day] += int(value["value"] if isinstance(value, dict) else value)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise SourceRefused(f"{base}{_PATH} gave an answer without counts by day: {error!r}") from None
    return counts
