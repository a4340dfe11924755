"""Exporting days with a rest source, for tests: what a raw export holds afterwards."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from posthog_assets.sources import RawExport, load_source
from posthog_assets.sources.formats import read_records
from posthog_assets.storage.store import Store

FIRST = date(2024, 3, 1)

#: The ids of `fakes.records_api.day_of_records`.
ALL = [f"r{number}" for number in range(10)]


def export(section: dict[str, Any], folder: Path, day: date = FIRST, first: date = FIRST) -> RawExport:
    """Export *day*; returns its raw export."""
    raw = RawExport(Store(str(folder), "shop"), day)
    load_source(section).export(day, raw, first)
    return raw


def records_of(raw: RawExport) -> list[Any]:
    """Return every record of a raw export, as it will be staged."""
    found = []
    for part in raw.parts():
        with raw.verified(part) as file:
            for chunk in read_records(file, part.framing, part.name):
                found += list(chunk.records)
    assert len(found) == sum(part.records for part in raw.parts())
    return found


def ids_of(raw: RawExport) -> list[Any]:
    return [one["id"] for one in records_of(raw)]


def ids_by_day(section: dict[str, Any], folder: Path, days: int) -> list[str]:
    """Return the ids of so many days from the first, in the order of the days."""
    return [found for number in range(days) for found in ids_of(export(section, folder, FIRST + timedelta(number)))]
