"""imported_batches: what PostHog acknowledged, dropped, or is still owed."""

from datetime import date
from typing import Any

import dagster as dg

from posthog_assets.assets.glue import RETRIES, Progress, day_of, declare, explained, rate, table
from posthog_assets.capture.delivery import DeliveryReport
from posthog_assets.capture.ledger import LEDGER
from posthog_assets.import_file import Import
from posthog_assets.steps import deliver_day, key_of, rejected_path

DESCRIPTION = """The delivery ledger of the day: one row per batch PostHog answered, and per event its verdict.

Materializing it again sends only events that are not acknowledged or have changed; after a crash it goes on where the
ledger ends. Events leave in the order of their timestamps."""


def build_imported_batches(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/imported_batches`."""
    checks = {"nothing_lost": "PostHog events - rejected = acknowledged + dropped, nothing owed"}

    @declare(
        imp, "imported_batches", partitions,
        description=DESCRIPTION, kinds={"posthog"}, upstream="posthog_events", schema=LEDGER, checks=checks,
        retry_policy=RETRIES(2), pool=pool_of(imp),
    )  # fmt: skip
    def imported_batches(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day, report = day_of(context), DeliveryReport()
        said = Progress(context, "delivered")
        with explained(lambda: _metadata(imp, key_of(day), report)):
            deliver_day(imp, day, report, lambda now: said(now.acknowledged + now.dropped, now.events))
        if report.recent and not report.held_back:
            context.log.warning(
                f"{report.recent:,} events are younger than 48 hours: PostHog imports them, but bills them as live. "
                "destination.recent_events: hold_back keeps such events until they are older"
            )
        if report.already_acknowledged:
            context.log.info(
                f"{report.already_acknowledged:,} events were acknowledged before and are not sent again; "
                f"{report.sent:,} sent now"
            )
        return dg.MaterializeResult(
            metadata=_metadata(imp, key_of(day), report),
            check_results=[
                dg.AssetCheckResult(
                    passed=report.owed == 0,
                    check_name="nothing_lost",
                    severity=dg.AssetCheckSeverity.WARN if report.held_back else dg.AssetCheckSeverity.ERROR,
                    description=_held_back(report),
                    metadata={
                        "events": report.events,
                        "acknowledged": report.acknowledged,
                        "dropped": report.dropped,
                        "owed": report.owed,
                    },
                )
            ],
        )

    return imported_batches


def _held_back(report: DeliveryReport) -> str | None:
    if not report.held_back:
        return None
    return (
        f"{report.held_back:,} events are younger than 48 hours and held back (destination.recent_events): "
        "materialize this day again when they are older"
    )


def pool_of(imp: Import, what: str = "posthog") -> str:
    """Return the Dagster pool that limits concurrent deliveries (or *what* else) of one PostHog host."""
    host = (imp.destination.host or "none").split("//")[-1]
    return f"{what}_" + "".join(letter if letter.isalnum() else "_" for letter in host)


def _metadata(imp: Import, day: str, report: DeliveryReport) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": report.acknowledged,
        "events": report.events,
        "acknowledged": report.acknowledged,
        "already_acknowledged": report.already_acknowledged,
        "sent": report.sent,
        "warnings": report.warnings,
        "dropped": report.dropped,
        "dropped_by_reason": table(report.drop_reasons, "reason"),
        "owed": report.owed,
        "held_back": report.held_back,
        "younger_than_48_hours": report.recent,
        "orphaned": report.orphaned,
        "batches": report.batches,
        "requests": report.requests,
        "retries": report.retries,
        "sent_bytes": report.sent_bytes,
        "events_per_second": rate(report.sent, report.seconds),
        "protocol": report.protocol or "nothing sent",
        "rejected_and_dropped": dg.MetadataValue.path(str(imp.store.path(rejected_path(date.fromisoformat(day))))),
        "ledger": dg.MetadataValue.path(str(imp.store.path(f"imported_batches/{day}/ledger.parquet"))),
    }
