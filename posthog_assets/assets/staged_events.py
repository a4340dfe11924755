"""staged_events: every raw record as one row of one fixed schema."""

import dagster as dg

from posthog_assets.assets.glue import Progress, day_of, declare, explained, rate, table
from posthog_assets.import_file import Import
from posthog_assets.schemas import STAGED_EVENTS
from posthog_assets.steps import stage_day, staged_path

DESCRIPTION = """Every raw record of the day as one row: who, what, when, and its properties as JSON text.

A record that cannot be read is a row too, with the reason and the place where it stands. Records in = rows out."""


def build_staged_events(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/staged_events`."""
    checks = {"every_raw_record_is_a_row": "raw records = staged rows"}

    @declare(
        imp, "staged_events", partitions,
        description=DESCRIPTION, kinds={"parquet"}, upstream="raw_export", schema=STAGED_EVENTS, checks=checks,
    )  # fmt: skip
    def staged_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day = day_of(context)
        with explained():
            report = stage_day(imp, day, Progress(context, "staged"))
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": report.rows,
                "dagster/size_bytes": report.bytes,
                "rejected": report.rejected,
                "rejected_by_reason": table(report.reject_reasons, "reason", "rows"),
                "first_event": str(report.first),
                "last_event": str(report.last),
                "rows_per_second": rate(report.rows, report.seconds),
                "file": dg.MetadataValue.path(str(imp.store.path(staged_path(day)))),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=report.rows == report.raw_records,
                    check_name="every_raw_record_is_a_row",
                    metadata={"raw_records": report.raw_records, "staged_rows": report.rows},
                )
            ],
        )

    return staged_events
