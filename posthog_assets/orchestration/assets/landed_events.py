"""landed_events: what PostHog itself says it has."""

import time
from datetime import date
from typing import Final

import dagster as dg

from posthog_assets.core.schemas import LANDED_EVENTS
from posthog_assets.destination.ingestion_warnings import reasons
from posthog_assets.destination.landing import LandedReport
from posthog_assets.orchestration.assets.declaration import RETRIES, day_of, declare, explained, heartbeat
from posthog_assets.orchestration.assets.imported_batches import pool_of
from posthog_assets.orchestration.assets.metadata import in_posthog, location, records, speed
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.verify import verify_day
from posthog_assets.storage.layout import events_path, landed_path

#: Bump when the same look would count differently.
CODE_VERSION: Final = "1"

DESCRIPTION = """Asks PostHog which of the day's acknowledged events it really has, and counts them by name.

Acknowledged only means accepted. An event that is not found before the deadline (`destination.landing_seconds`) turns
the day red and is owed again: the next run of `imported_batches` sends exactly those. Where PostHog's ingestion
warnings can be read, they say why events are missing or were changed. This needs a personal API key; without one
nothing is looked up, and the check says so."""

CHECK = "everything_acknowledged_has_landed"


def build_landed_events(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/landed_events`."""

    @declare(
        imp, "landed_events", partitions,
        description=DESCRIPTION, code_version=CODE_VERSION, kinds={"posthog"}, upstream="imported_batches",
        schema=LANDED_EVENTS, checks={CHECK: "distinct uuids found by HogQL = acknowledged events"},
        # PostHog answers three queries of a project at once.
        pool=pool_of(imp, "posthog_queries"), retry_policy=RETRIES(1), freshness_policy=heartbeat(imp),
    )  # fmt: skip
    def landed_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day, began = day_of(context), time.monotonic()
        with explained():
            landing = verify_day(
                imp, day, lambda found, expected: context.log.info(f"found {found:,} of {expected:,} events in PostHog")
            )
        if landing is None:
            return _nobody_looked()
        missing = sum(len(uuids) for uuids in landing.missing.values())
        if missing:
            why = reasons(landing.warnings)
            raise dg.Failure(
                f"{missing:,} of {landing.acknowledged:,} acknowledged events of {context.partition_key} were not "
                f"found in PostHog within {imp.destination.landing_seconds:.0f} s. {f'{why}. ' if why else ''}"
                "They are owed again: materialize imported_batches for this day to send exactly those, then "
                f"landed_events{'; what stands behind those reasons has to be put right before' if why else ''}",
                metadata={"missing": missing, "landed": landing.landed, **_warnings(landing)},
                allow_retries=False,
            )
        return _found(imp, day, landing, time.monotonic() - began)

    return landed_events


def _warnings(landing: LandedReport) -> dict[str, dg.TableMetadataValue]:
    return records("ingestion_warnings", [warning.as_row() for warning in landing.warnings or ()])


def _nobody_looked() -> dg.MaterializeResult:
    words = "not verified: destination.personal_api_key and project_id are not set"
    return dg.MaterializeResult(
        metadata={"verification": words},
        check_results=[
            dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, check_name=CHECK, description=words)
        ],
    )


def _found(imp: Import, day: date, landing: LandedReport, seconds: float) -> dg.MaterializeResult:
    rows = [{"event": name, "acknowledged": a, "landed": n} for name, (a, n) in landing.by_event.items()]
    return dg.MaterializeResult(
        metadata={
            "dagster/partition_row_count": landing.landed,
            "acknowledged": landing.acknowledged,
            "landed": landing.landed,
            **records("events_by_name", rows),
            "duplicates": landing.duplicates,
            "looks": landing.queries,
            **_warnings(landing),
            **speed(0, seconds),
            **in_posthog(imp, events_path(day), day),
            **location(imp, landed_path(day)),
        },
        check_results=[
            dg.AssetCheckResult(
                passed=landing.landed == landing.acknowledged,
                check_name=CHECK,
                metadata={"acknowledged": landing.acknowledged, "landed": landing.landed},
            )
        ],
    )
