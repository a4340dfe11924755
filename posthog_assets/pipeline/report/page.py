"""The report as one page of HTML that needs nothing else.

Belongs here: which tables and charts there are. Does not belong here: reading numbers (`day_numbers`), drawing
(`charts`). Names, reasons and values are text of the people who sent the events: the template escapes all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, Final

from markupsafe import Markup

from posthog_assets.core.counted import sized
from posthog_assets.core.html_page import environment
from posthog_assets.pipeline.report.charts import check_library, compared, stacked
from posthog_assets.pipeline.report.day_numbers import DayNumbers, DayState
from posthog_assets.pipeline.source_counts import Comparison

#: States of days that a person should look at.
_WANTING: Final = (DayState.FAILED, DayState.MISSING_IN_POSTHOG, DayState.TOO_MANY_REJECTED, DayState.OWED)
#: Rows of a table; a sentence says how many there are beyond them.
_ROWS: Final = 20


@dataclass(frozen=True, slots=True)
class _Month:
    """A month of the calendar: `blank` cells before its first day, so that columns are weekdays, Monday first."""

    title: str
    blank: int
    days: list[DayNumbers]


def html(
    name: str, days: Sequence[DayNumbers], *, comparison: Comparison | None = None, made_at: datetime | None = None
) -> str:
    """Return the page about import *name*; *days* are in order, without gaps, *comparison* is with the source.

    Raises:
        ImportFileError: the library that draws is not installed.
    """
    check_library()
    template = environment("posthog_assets.pipeline.report").get_template("page.html.jinja")
    return template.render(
        name=name,
        made_at=f"{made_at or datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        first=days[0].day if days else None,
        last=days[-1].day if days else None,
        totals=_totals(days),
        states=[(state.value, sum(day.state is state for day in days)) for state in DayState],
        months=_months(days),
        charts=[Markup(chart) for chart in _charts(days) if chart],
        events=_top(sum((day.events for day in days), Counter())),
        reasons=_top(sum((day.rejected for day in days), Counter())),
        failed=[day for day in days if day.state in _WANTING or day.why],
        slowest=sorted((day for day in days if day.seconds), key=lambda day: -day.seconds)[:5],
        comparison=comparison,
        rows=_ROWS,
    )


def _totals(days: Sequence[DayNumbers]) -> dict[str, Any]:
    landed = [day.landed for day in days if day.landed is not None]
    return {
        "raw records": sum(day.raw_records or 0 for day in days),
        "rejected": sum(count for day in days for (asset, _), count in day.rejected.items() if asset != _DELIVERY),
        "events": sum(day.events.total() for day in days),
        "acknowledged": sum(day.acknowledged for day in days),
        "dropped by PostHog": sum(day.dropped for day in days),
        "owed": sum(day.owed for day in days),
        "landed": sum(landed) if landed else None,
        "requests": sum(day.requests for day in days),
        "sent": sized(sum(day.sent_bytes for day in days)),
    }


_DELIVERY: Final = "imported_batches"


def _charts(days: Sequence[DayNumbers]) -> list[str]:
    dates = [day.day for day in days]
    rejected = [_by_reason(day) for day in days]
    return [
        stacked(dates, [day.events for day in days], "Events a day, by name"),
        stacked(dates, rejected, "Rejected and dropped a day, by reason"),
        compared(
            dates,
            {
                "acknowledged": [day.acknowledged if day.has_ledger else None for day in days],
                "landed": [day.landed for day in days],
            },
            "Acknowledged against landed",
        ),
    ]


def _by_reason(day: DayNumbers) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (_, reason), count in day.rejected.items():
        counts[reason] += count
    return counts


def _top(counts: Counter[Any]) -> tuple[list[tuple[Any, int]], int]:
    """Return the most common items, and how many more there are."""
    return counts.most_common(_ROWS), max(0, len(counts) - _ROWS)


def _months(days: Sequence[DayNumbers]) -> list[_Month]:
    months = []
    for (year, month), group in groupby(days, key=lambda day: (day.day.year, day.day.month)):
        members = list(group)
        first = members[0].day
        months.append(_Month(f"{date(year, month, 1):%B %Y}", first.weekday(), members))
    return months


def whole_range(days: Sequence[date]) -> list[date]:
    """Return every day from the first to the last of *days*, so that the calendar and the charts have no gap."""
    if not days:
        return []
    first, last = min(days), max(days)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
