"""staged_events: every raw record as one row of one fixed schema."""

from typing import Final

import dagster as dg

from posthog_assets.orchestration.assets.declaration import Progress, day_of, declare, explained, version_of
from posthog_assets.orchestration.assets.metadata import day_profile, location, speed, table, times
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.stage import StagingReport, stage_day
from posthog_assets.storage.layout import staged_path

#: The check that warns of events long before the import's first day.
EARLY: Final = "no_event_long_before_start"

#: Bump when the same raw records give other rows.
CODE_VERSION: Final = "1"

DESCRIPTION = """Every raw record of the day as one row: who, what, when, and everything else as JSON text.

A record that cannot be read is a row too, with the reason (`reject_reason`) and the file and line where it stands, so
nothing disappears: records in = rows out. Look at `rejected_by_reason` before you go on, and at `fields_left_out`: the
fields of the records that the dialect does not know, and so does not import.

Next: `posthog_events`."""


def build_staged_events(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/staged_events`."""
    checks = {
        "every_raw_record_is_a_row": "raw records + further events of a record = staged rows",
        EARLY: "no event is more than a year older than the import's start_date",
    }

    @declare(
        imp, "staged_events", partitions,
        description=DESCRIPTION, code_version=version_of(CODE_VERSION, imp.dialect), kinds={"parquet"},
        upstream="raw_export", schema=imp.dialect.staged_schema, checks=checks,
    )  # fmt: skip
    def staged_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day = day_of(context)
        with explained():
            report = stage_day(imp, day, Progress(context, "staged", "records"))
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": report.rows,
                "dagster/size_bytes": report.bytes,
                "rejected": report.rejected,
                **table("rejected_by_reason", report.reject_reasons, "reason", "rows"),
                **table("fields_left_out", report.notes.fields_left_out, "field", "records"),
                **table("remarks", report.notes.remarks, "remark", "records"),
                **times(report.first, report.last),
                **day_profile(
                    imp, staged_path(day), day, ["event", "user_id", "anonymous_id", "timestamp", "properties"]
                ),
                **speed(report.rows, report.seconds),
                **location(imp, staged_path(day)),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=report.rows == report.raw_records + report.further,
                    check_name="every_raw_record_is_a_row",
                    metadata={
                        "raw_records": report.raw_records,
                        "further_events_of_records": report.further,
                        "staged_rows": report.rows,
                    },
                ),
                _early_check(imp, report),
            ],
        )

    return staged_events


def _early_check(imp: Import, report: StagingReport) -> dg.AssetCheckResult:
    """Return a warning where events are of years that the import says it has no history of."""
    count = report.long_before_start
    return dg.AssetCheckResult(
        passed=not count,
        check_name=EARLY,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count:,} events are more than a year older than start_date {imp.start_date}, the first of "
        f"{report.first}: is that history, or a clock that was never set?" if count else None,
        metadata={"long_before_start": count},
    )  # fmt: skip
