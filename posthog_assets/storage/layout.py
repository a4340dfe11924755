"""The paths of the storage folder, each spelled once.

Belongs here: the path of each file, relative to the folder of an import. Does not belong here: reading or writing it.
"""

from __future__ import annotations

from typing import Final

from posthog_assets.core.partitions import Partition, key_of

#: The page that the job `report_<import>` writes.
REPORT: Final = "report.html"


#: The folders of the steps, in the order in which a day passes through them.
EXPORTS: Final = "raw_export"
DELIVERIES: Final = "imported_batches"

#: Below `EXPORTS`: days of files that hold many days, with a manifest of each file.
SPLITS: Final = f"{EXPORTS}/.split"


def export_folder(day: Partition) -> str:
    return f"{EXPORTS}/{key_of(day)}"


def manifest_path(day: Partition) -> str:
    """Return the path of what an export knows of itself; it is written last, so that where it is, all is."""
    return f"{export_folder(day)}/manifest.json"


def staged_folder() -> str:
    return "staged_events"


def staged_path(day: Partition) -> str:
    return f"{staged_folder()}/{key_of(day)}.parquet"


def column_types_path() -> str:
    """Return the path of what is known of the columns of CSV (`pipeline.column_types`)."""
    return "column_types.json"


def events_path(day: Partition) -> str:
    return f"posthog_events/{key_of(day)}.parquet"


def delivery_folder(day: Partition) -> str:
    return f"{DELIVERIES}/{key_of(day)}"


def ledger_path(day: Partition) -> str:
    return f"{delivery_folder(day)}/ledger.parquet"


def settled_path(day: Partition) -> str:
    return f"{delivery_folder(day)}/settled.json"


def group_types_path() -> str:
    """Return where the group types of all days that were sent are noted, a JSON list."""
    return f"{DELIVERIES}/group_types.json"


def rejected_path(day: Partition) -> str:
    return f"{delivery_folder(day)}/rejected.parquet"


def warnings_path(day: Partition) -> str:
    return f"{delivery_folder(day)}/ingestion_warnings.parquet"


def landed_path(day: Partition) -> str:
    return f"landed_events/{key_of(day)}.parquet"


def day_facts_path(day: Partition) -> str:
    return f"history_facts/days/{key_of(day)}.parquet"


def persons_path() -> str:
    return "history_facts/persons.parquet"


def links_path() -> str:
    return "history_facts/links.parquet"


def source_counts_path() -> str:
    """Return where the last comparison with the source's own numbers is kept."""
    return "source_counts.parquet"


def traces_path() -> str:
    """Return where an import notes what it wrote into PostHog beside its events."""
    return "traces.json"
