"""What Dagster shows of a partition: its numbers, tables, pictures and links, by the same names on every asset.

Belongs here: metadata entries. Does not belong here: finding out what they say (`pipeline`).

Dagster draws every whole or decimal number over the partitions, so a number's name is a promise:

    dagster/partition_row_count   records, rows, events, acknowledged or landed events: what the asset is made of
    dagster/size_bytes            bytes stored
    rejected                      rows that will not become an event, with their reason beside them
    acknowledged, dropped, owed   events by what PostHog said
    seconds, events_per_second    how long the step took, and how fast that was
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

import dagster as dg

from posthog_assets.core.errors import shorten
from posthog_assets.core.secrets import without_credentials
from posthog_assets.destination.explore import explore_url
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.profile import Hours, first_rows, hours, span

#: Where an asset's entry says why all events of a day are of anonymous persons.
LACKS_USERS: Final = "lacks_users"

#: Where an asset's entry says which rules of this package made it, beside the version of the mapping.
RULES_ENTRY: Final = "mapping_rules"

#: Tables stop here; Dagster keeps metadata in its database.
_ROWS: Final = 100
_CELL: Final = 60


def table(entry: str, counts: Mapping[str, int], name: str, number: str = "events") -> dict[str, dg.TableMetadataValue]:
    """Return *entry*: counts as a table, largest first; nothing where there is nothing to count."""
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_ROWS]
    return records(entry, [{name: shorten(key, _CELL), number: count} for key, count in rows])


def records(entry: str, rows: list[dict[str, Any]]) -> dict[str, dg.TableMetadataValue]:
    """Return *entry*: rows of equal keys as a table; nothing where there are none."""
    if not rows:
        return {}
    columns = [dg.TableColumn(name, "int" if isinstance(value, int) else "string") for name, value in rows[0].items()]
    return {entry: dg.MetadataValue.table([dg.TableRecord(row) for row in rows[:_ROWS]], dg.TableSchema(columns))}


def speed(count: int, seconds: float) -> dict[str, float]:
    """Return `seconds` and, where there was something to do, `events_per_second`."""
    figures = {"seconds": round(seconds, 3)}
    return figures | {"events_per_second": round(count / seconds, 1)} if count and seconds > 0 else figures


def times(first: datetime | None, last: datetime | None) -> dict[str, str]:
    """Return `first_event` and `last_event`; nothing on an empty day."""
    return {"first_event": first.isoformat(), "last_event": last.isoformat()} if first and last else {}


def day_profile(imp: Import, path: str, day: date, columns: list[str]) -> dict[str, Any]:
    """Return a picture of when the rows of the stored file happened, and its first rows unless that is switched off."""
    with imp.store.peek(path) as file:
        found = hours(file, day)
        if not found.counts:
            return {}
        file.seek(0)
        rows = first_rows(file, columns, imp.mapping.markers.names) if imp.first_rows else []
        return {"events_by_hour": dg.MetadataValue.md(_markdown(found)), **records("first_rows", rows)}


def location(imp: Import, path: str, entry: str = "file") -> dict[str, dg.MetadataValue]:
    """Return where something is stored."""
    return {entry: dg.MetadataValue.path(without_credentials(str(imp.store.path(path))))}


def in_posthog(imp: Import, events: str, day: date) -> dict[str, dg.MetadataValue]:
    """Return a link to the day's events in PostHog, where there are some and the project is known."""
    if not imp.store.exists(events):
        return {}
    with imp.store.peek(events) as file:
        ends = span(file)
    markers = imp.mapping.markers
    marks = {markers.import_name: imp.name, markers.day: day.isoformat()}
    url = explore_url(imp.destination, marks, ends) if ends else None
    return {"in_posthog": dg.MetadataValue.md(f"[these events in PostHog]({url})")} if url else {}


#: Can be seen on white and on Dagster's dark theme.
_COLOUR: Final = "#6a5cff"
_HEIGHT: Final = 40


def _markdown(found: Hours) -> str:
    picture = base64.b64encode(draw(found.counts).encode()).decode()
    unit = "an hour" if found.width == 1 else f"in {found.width} hours"
    return (
        f"![](data:image/svg+xml;base64,{picture})\n\n"
        f"{found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC, at most {max(found.counts):,} {unit}"
    )


def draw(counts: list[int]) -> str:
    """Return bars as SVG, as few bytes as can be: Dagster hides Markdown of 1,000 characters behind a button."""
    top = max(counts)
    bars = "".join(
        # What happened at all is seen.
        f"M{number} {_HEIGHT}V{_HEIGHT - max(1, round(_HEIGHT * count / top))}"
        for number, count in enumerate(counts)
        if count
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="480" height="60" preserveAspectRatio="none" '
        f'viewBox="-.5 0 {len(counts)} {_HEIGHT}"><path stroke="{_COLOUR}" stroke-width=".8" d="{bars}"/></svg>'
    )
