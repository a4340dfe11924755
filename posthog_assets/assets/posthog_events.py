"""posthog_events: what the day's records are to be in PostHog."""

import dagster as dg

from posthog_assets.assets.glue import Progress, day_of, declare, explained, rate, table
from posthog_assets.import_file import Import
from posthog_assets.schemas import POSTHOG_EVENTS
from posthog_assets.steps import events_path, transform_day

DESCRIPTION = """The day's events as PostHog will get them, oldest first.

A uuid is a function of the source's own id, so importing again replaces instead of duplicating. Events PostHog would
refuse stay here with the reason and are not sent. Running this twice gives the same bytes."""


def build_posthog_events(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/posthog_events`."""
    checks = {"every_staged_row_is_an_event": "staged rows - rejected + derived = PostHog events"}

    @declare(
        imp, "posthog_events", partitions,
        description=DESCRIPTION, kinds={"parquet"}, upstream="staged_events", schema=POSTHOG_EVENTS, checks=checks,
    )  # fmt: skip
    def posthog_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day = day_of(context)
        with explained():
            report = transform_day(imp, day, Progress(context, "transformed"))
        expected = report.staged - report.staged_rejected + report.derived
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": report.rows,
                "dagster/size_bytes": imp.store.size(events_path(day)),
                "rejected": report.rejected,
                "rejected_by_reason": table(report.reject_reasons, "reason", "events"),
                "derived": report.derived,
                "reused_ids": report.reused_ids,
                "events_by_name": table(report.events_by_name, "event"),
                "first_event": str(report.first),
                "last_event": str(report.last),
                "rows_per_second": rate(report.rows, report.seconds),
                "file": dg.MetadataValue.path(str(imp.store.path(events_path(day)))),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=report.rows == expected,
                    check_name="every_staged_row_is_an_event",
                    metadata={
                        "staged_rows": report.staged,
                        "staged_rejected": report.staged_rejected,
                        "derived": report.derived,
                        "posthog_events": report.rows,
                    },
                )
            ],
        )

    return posthog_events
