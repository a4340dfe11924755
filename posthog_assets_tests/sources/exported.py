"""What a raw export holds, for the tests of sources."""

from __future__ import annotations

from typing import Any

from posthog_assets.sources import RawExport
from posthog_assets.sources.formats import read_records


def records(raw: RawExport) -> list[dict[str, Any]]:
    """Return the records of all parts that can be read."""
    found: list[dict[str, Any]] = []
    for part in raw.parts():
        with raw.open(part) as file:
            for chunk in read_records(file, part.framing, part.name):
                found += [record for record in chunk.records if isinstance(record, dict)]
    return found
