"""The paths of the storage folder, each spelled once.

Belongs here: the path of each file, relative to the folder of an import. Does not belong here: reading or writing it.
"""

from __future__ import annotations

from typing import Final

from posthog_assets.core.partitions import Partition, key_of

#: The page that the job `report_<import>` writes.
REPORT: Final = "report.html"


def staged_path(day: Partition) -> str:
    return f"staged_events/{key_of(day)}.parquet"


def events_path(day: Partition) -> str:
    return f"posthog_events/{key_of(day)}.parquet"


def group_types_path() -> str:
    """Return where the group types of all days that were sent are noted, a JSON list."""
    return "imported_batches/group_types.json"


def rejected_path(day: Partition) -> str:
    return f"imported_batches/{key_of(day)}/rejected.parquet"


def warnings_path(day: Partition) -> str:
    return f"imported_batches/{key_of(day)}/ingestion_warnings.parquet"


def landed_path(day: Partition) -> str:
    return f"landed_events/{key_of(day)}.parquet"


def day_facts_path(day: Partition) -> str:
    return f"history_facts/days/{key_of(day)}.parquet"


def persons_path() -> str:
    return "history_facts/persons.parquet"


def links_path() -> str:
    return "history_facts/links.parquet"
