"""imported_batches: what PostHog acknowledged, dropped, or is still owed."""

from datetime import date
from typing import Any, Final

import dagster as dg

from posthog_assets.core.errors import shorten
from posthog_assets.core.schemas import LEDGER
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.orchestration.assets.declaration import RETRIES, Progress, day_of, declare, explained
from posthog_assets.orchestration.assets.metadata import in_posthog, location, speed, table
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.storage.layout import events_path, ledger_path, rejected_path

#: Bump when the same events would be sent another way.
CODE_VERSION: Final = "1"

#: A larger share of dropped events is worth a warning; a day of which PostHog took nothing fails its check.
MOST_DROPPED: Final = 0.01

DESCRIPTION = """Sends the day's events to PostHog, and keeps a ledger of every answer.

Materializing it again sends only events that are not acknowledged or have changed - nothing twice - and after a crash
it goes on where the ledger ends. A day that is red here is owed: materialize **this asset alone** for that day (or
*Re-execute from failure* on the backfill) and exactly what is owed is sent.

- *acknowledged*: PostHog took it
- *dropped*: PostHog refused it for good, with a reason
- *owed*: no verdict yet

Next: `landed_events`, which looks whether they arrived."""


def build_imported_batches(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/imported_batches`."""
    checks = {
        "nothing_lost": "PostHog events - rejected = acknowledged + dropped, nothing owed",
        "nothing_orphaned": "Every event that PostHog acknowledged is still one of the day's events",
        "few_dropped": "PostHog dropped at most 1 % of the day's events",
    }

    @declare(
        imp, "imported_batches", partitions,
        description=DESCRIPTION, code_version=CODE_VERSION, kinds={"posthog"}, upstream="posthog_events",
        schema=LEDGER, checks=checks, retry_policy=RETRIES(2), pool=pool_of(imp),
    )  # fmt: skip
    def imported_batches(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day, report = day_of(context), DeliveryReport()
        progress = Progress(context, "delivered")
        with explained(lambda: _metadata(imp, day, report)):
            deliver_day(imp, day, report, lambda now: progress(now.acknowledged + now.dropped, now.events))
        if report.recent and not report.held_back:
            context.log.warning(
                f"{report.recent:,} events are younger than 48 hours: PostHog imports them, but bills them as live. "
                "destination.recent_events: hold_back keeps such events until they are older"
            )
        if report.group_types_unchecked:
            context.log.warning(
                "The day's group types were not held against the project's, so a new one was not refused, nor one that "
                f"PostHog drops because it is a sixth: {report.group_types_unchecked}"
            )
        if report.already_acknowledged:
            context.log.info(
                f"{report.already_acknowledged:,} events were acknowledged before and are not sent again; "
                f"{report.sent:,} sent now"
            )
        return dg.MaterializeResult(
            metadata=_metadata(imp, day, report),
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
                ),
                dg.AssetCheckResult(
                    passed=not report.orphaned,
                    check_name="nothing_orphaned",
                    severity=dg.AssetCheckSeverity.WARN,
                    description=_orphaned(imp, day, report),
                    metadata={"orphaned": report.orphaned},
                ),
                dg.AssetCheckResult(
                    passed=report.dropped <= MOST_DROPPED * report.events,
                    check_name="few_dropped",
                    # Where most of a day is dropped it is not its events that are at fault.
                    severity=(
                        dg.AssetCheckSeverity.ERROR
                        if 2 * report.dropped > report.events
                        else dg.AssetCheckSeverity.WARN
                    ),
                    description=_dropped(imp, day, report),
                    metadata={"dropped": report.dropped, "events": report.events},
                ),
            ],
        )

    return imported_batches


def _dropped(imp: Import, day: date, report: DeliveryReport) -> str | None:
    if not report.dropped:
        return None
    reason, count = max(report.drop_reasons.items(), key=lambda item: item[1])
    return (
        f"PostHog dropped {report.dropped:,} of {report.events:,} events, {count:,} of them for: {shorten(reason)}. "
        f"posthog-assets rejected {imp.name} --day {day} shows them. When the cause is gone, posthog-assets release "
        f"{imp.name} --day {day} makes them owed again"
    )


def _held_back(report: DeliveryReport) -> str | None:
    if not report.held_back:
        return None
    return (
        f"{report.held_back:,} events are younger than 48 hours and held back (destination.recent_events): "
        "materialize this day again when they are older"
    )


def _orphaned(imp: Import, day: date, report: DeliveryReport) -> str | None:
    if not report.orphaned:
        return None
    return (
        f"{report.orphaned:,} events that PostHog acknowledged are no longer among the day's events, and stay there: "
        "they left the source or the mapping, or changed what their uuids are made of and were sent as other events. "
        f"posthog-assets changes {imp.name} --from {day} --to {day} --every counts them (gone, new)"
    )


def pool_of(imp: Import, what: str = "posthog") -> str:
    """Return the Dagster pool that limits concurrent deliveries (or *what* else) of one PostHog host."""
    host = (imp.destination.host or "none").split("//")[-1]
    return f"{what}_" + "".join(letter if letter.isalnum() else "_" for letter in host)


def _metadata(imp: Import, day: date, report: DeliveryReport) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": report.acknowledged,
        "events": report.events,
        "acknowledged": report.acknowledged,
        "dropped": report.dropped,
        **table("dropped_by_reason", report.drop_reasons, "reason"),
        "owed": report.owed,
        "held_back": report.held_back,
        "sent": report.sent,
        "already_acknowledged": report.already_acknowledged,
        "warnings": report.warnings,
        "younger_than_48_hours": report.recent,
        "orphaned": report.orphaned,
        "sent_without_person_properties": report.without_person,
        "batches": report.batches,
        "requests": report.requests,
        "retries": report.retries,
        "sent_bytes": report.sent_bytes,
        **speed(report.sent, report.seconds),
        "protocol": report.protocol or "nothing sent",
        **({"group_types_not_checked": report.group_types_unchecked} if report.group_types_unchecked else {}),
        **in_posthog(imp, events_path(day), day),
        **location(imp, ledger_path(day), "ledger"),
        **location(imp, rejected_path(day), "rejected_and_dropped"),
    }
