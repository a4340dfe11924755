"""raw_export: one day as the source delivered it, pinned once."""

import time
from typing import Final

import dagster as dg

from posthog_assets.orchestration.assets.declaration import RETRIES, Progress, day_of, declare, explained
from posthog_assets.orchestration.assets.metadata import location, speed
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.neighbours import Neighbours, neighbours
from posthog_assets.pipeline.export import export_day
from posthog_assets.sources.account import Account
from posthog_assets.storage.layout import manifest_path

#: Whether every record that the source read is of a day.
CHECK: Final = "every_record_has_a_day"

#: Whether the day has as many records as days like it.
NEIGHBOURS_CHECK: Final = "as_many_records_as_neighbours"

#: Bump when the same source gives other bytes.
CODE_VERSION: Final = "1"

DESCRIPTION = """One day of history exactly as the source delivered it: the files, and a manifest that lists them.

It is fetched once and kept; every later step reads this copy and never the source. Materializing it again fetches only
what the source has changed, and an interrupted export goes on after its last complete file.

Next: `staged_events`."""


def build_raw_export(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/raw_export`."""
    checks = {NEIGHBOURS_CHECK: "as many records as on the same weekday of the weeks around it"}
    if imp.source.holds_all_days:
        checks[CHECK] = "records read = records of all days + without a day + outside the import's days"

    @declare(
        imp, "raw_export", partitions, description=DESCRIPTION, code_version=CODE_VERSION, kinds={_kind(imp)},
        retry_policy=RETRIES(3), pool=imp.source.pool, checks=checks,
    )  # fmt: skip
    def raw_export(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day, began = day_of(context), time.monotonic()
        with explained():
            manifest = export_day(imp, day, Progress(context, "exported", "bytes"))
            near = neighbours(imp.store, day, sum(part.records for part in manifest.parts))
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": sum(part.records for part in manifest.parts),
                "dagster/size_bytes": sum(part.bytes for part in manifest.parts),
                "parts": len(manifest.parts),
                "fetched_at": manifest.fetched_at,
                # No rate: a day that is pinned already takes no time at all.
                **speed(0, time.monotonic() - began),
                **location(imp, manifest_path(day), "manifest"),
            },
            check_results=[
                _neighbours_check(near),
                *([_account_check(imp, manifest.account)] if imp.source.holds_all_days else []),
            ],
            data_version=dg.DataVersion(manifest.digest()),
        )

    return raw_export


def _neighbours_check(near: Neighbours) -> dg.AssetCheckResult:
    """Return a warning where a day has far fewer or far more records than days like it."""
    return dg.AssetCheckResult(
        passed=not near.is_far_off,
        check_name=NEIGHBOURS_CHECK,
        severity=dg.AssetCheckSeverity.WARN,
        description=near.words if near.is_far_off else None,
        metadata={"records": near.records, "days_compared": near.days, "median": near.median},
    )


def _account_check(imp: Import, account: Account | None) -> dg.AssetCheckResult:
    """Return where the records went that were read; a warning where one is no event of any day."""
    if account is None:
        elsewhere = f"the rows of all days are accounted for with the first one, {imp.start_date}"
        return dg.AssetCheckResult(passed=True, check_name=CHECK, description=elsewhere)
    words = account.warnings(imp.start_date, imp.end_date)
    return dg.AssetCheckResult(
        passed=not words,
        check_name=CHECK,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(words) or None,
        metadata={
            "records": account.records,
            "in_days": account.in_days,
            "without_day": account.without_day,
            "outside": account.outside,
            "repeated": account.repeated,
        },
    )


def _kind(imp: Import) -> str:
    """Return the source's name as Dagster's badge; of a class in a module of the user's, the class."""
    return imp.source.type.rsplit(".", 1)[-1].lower()
