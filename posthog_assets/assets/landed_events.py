"""landed_events: what PostHog itself says it has."""

import dagster as dg

from posthog_assets.assets.glue import RETRIES, day_of, declare, explained, heartbeat
from posthog_assets.assets.imported_batches import pool_of
from posthog_assets.capture.query import Landing
from posthog_assets.import_file import Import
from posthog_assets.steps import LANDED_EVENTS, landed_path, verify_day

DESCRIPTION = """What a query of PostHog finds of the events it acknowledged that day.

Acknowledged only means accepted. An event that is not found before the deadline turns the day red and is owed again:
the next run of imported_batches sends exactly those. Needs a personal API key; without one nobody looks, and the check
says so."""

CHECK = "everything_acknowledged_has_landed"


def build_landed_events(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/landed_events`."""

    @declare(
        imp, "landed_events", partitions,
        description=DESCRIPTION, kinds={"posthog"}, upstream="imported_batches", schema=LANDED_EVENTS,
        checks={CHECK: "distinct uuids found by HogQL = acknowledged events"},
        # PostHog answers three queries of a project at once.
        pool=pool_of(imp, "posthog_queries"), retry_policy=RETRIES(1), freshness_policy=heartbeat(imp),
    )  # fmt: skip
    def landed_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day = day_of(context)
        with explained():
            landing = verify_day(imp, day)
        if landing is None:
            return _nobody_looked()
        missing = sum(len(uuids) for uuids in landing.missing.values())
        if missing:
            raise dg.Failure(
                f"{missing:,} of {landing.acknowledged:,} acknowledged events of {context.partition_key} were not "
                f"found in PostHog within {imp.destination.landing_seconds:.0f} s. They are owed again: materialize "
                "imported_batches for this day to send exactly those, then landed_events",
                metadata={"missing": missing, "landed": landing.landed},
                allow_retries=False,
            )
        return _found(imp, landing, str(imp.store.path(landed_path(day))))

    return landed_events


def _nobody_looked() -> dg.MaterializeResult:
    words = "nobody looked: destination.personal_api_key and project_id are not set"
    return dg.MaterializeResult(
        metadata={"verification": words},
        check_results=[
            dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, check_name=CHECK, description=words)
        ],
    )


def _found(imp: Import, landing: Landing, file: str) -> dg.MaterializeResult:
    columns = ["event", "acknowledged", "landed"]
    rows = [
        dg.TableRecord(dict(zip(columns, (name, *counts), strict=True))) for name, counts in landing.by_event.items()
    ]
    return dg.MaterializeResult(
        metadata={
            "dagster/partition_row_count": landing.landed,
            "acknowledged": landing.acknowledged,
            "landed": landing.landed,
            "duplicates": landing.duplicates,
            "looks": landing.looks,
            "by_event": dg.MetadataValue.table(
                rows[:100],
                dg.TableSchema([dg.TableColumn(columns[0]), *(dg.TableColumn(c, "int") for c in columns[1:])]),
            ),
            "file": dg.MetadataValue.path(file),
        },
        check_results=[
            dg.AssetCheckResult(
                passed=landing.landed == landing.acknowledged,
                check_name=CHECK,
                metadata={"acknowledged": landing.acknowledged, "landed": landing.landed},
            )
        ],
    )
