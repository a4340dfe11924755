"""How many events Mixpanel itself counts, by day and name.

Belongs here: its segmentation report. Does not belong here: comparing the numbers with an import's.

Reference: docs.mixpanel.com/reference/segmentation-query. One request is about one event name and all days; both dates
are inclusive, days are the project's. 60 queries an hour and five at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import orjson

from posthog_assets.core.errors import SourceRefused
from posthog_assets.sources.mixpanel.events import Mixpanel

_HOSTS: Final = {"us": "https://mixpanel.com", "eu": "https://eu.mixpanel.com", "in": "https://in.mixpanel.com"}
_PATH: Final = "/api/query/segmentation"
_MOST_BYTES: Final = 16 << 20


def mixpanel_counts(source: Mixpanel, first: date, last: date, names: list[str]) -> Iterator[tuple[date, str, int]]:
    """Yield (day, event, count) of the events *names* on the project's days *first* to *last*.

    Raises:
        ImportFileError: credentials are missing.
        SourceRefused: Mixpanel refuses, or answers something else.
        SourceUnavailable: it does not answer.
    """
    api = source.api(source.host or _HOSTS[source.region])
    for name in names:
        fields = {
            "project_id": source.project_id, "event": name, "from_date": first, "to_date": last, "unit": "day",
            "type": "general",
        }  # fmt: skip
        for day, count in _read(api.read("GET", _PATH, _MOST_BYTES, fields=fields), api.base).items():
            yield day, name, count


def _read(body: bytes, base: str) -> dict[date, int]:
    """Return the counts by day; without `on` there is one series, called as the event."""
    try:
        values: Any = orjson.loads(body)["data"]["values"]
        counts: dict[date, int] = {}
        for series in values.values():
            for day, count in series.items():
                counts[date.fromisoformat(day[:10])] = counts.get(date.fromisoformat(day[:10]), 0) + int(count)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceRefused(f"{base}{_PATH} gave an answer without counts by day: {error!r}") from None
    return counts
