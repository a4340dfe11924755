"""The check matches_the_source, and the job that evaluates it."""

from typing import Any, Final

import dagster as dg

from posthog_assets.orchestration.assets.declaration import explained
from posthog_assets.orchestration.assets.metadata import location, records
from posthog_assets.orchestration.history import STEPS
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.source_counts import Comparison, Row, compare_with_source
from posthog_assets.storage.layout import source_counts_path

CHECK: Final = "matches_the_source"

_SHOWN: Final = 50


def build_source_check(imp: Import) -> tuple[dg.AssetChecksDefinition, Any]:
    """Return the check of `<import>/landed_events` that the source counts the same, and the job `compare_<import>`.

    It is of the import as a whole. Materializing landed_events from the UI evaluates it too; the import's own job for
    one day does not, since a vendor's API answers few questions an hour.
    """

    @dg.asset_check(
        asset=dg.AssetKey([imp.name, STEPS[-1]]),
        name=CHECK,
        description="Per day and event, what arrived and what is known of the rest is what the source counts",
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with explained():
            found = compare_with_source(imp)
        if found.not_asked:
            context.log.info(
                f"{len(found.not_asked):,} events were not compared: {', '.join(found.not_asked[:_SHOWN])}"
            )
        return dg.AssetCheckResult(
            passed=not found.differing,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.words,
            metadata=_metadata(imp, found),
        )

    job = dg.define_asset_job(
        f"compare_{imp.name}",
        selection=dg.AssetSelection.checks(source_check_key(imp)),
        executor_def=dg.in_process_executor,
        description=f"Compares {imp.name} with the numbers of its source, per day and event",
    )
    return check, job


def source_check_key(imp: Import) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey([imp.name, STEPS[-1]]), CHECK)


def _metadata(imp: Import, found: Comparison) -> dict[str, Any]:
    return {
        "source": sum(row.source for row in found.rows),
        "arrived": sum(row.arrived for row in found.rows),
        "compared": len(found.rows),
        "differing": len(found.differing),
        "not_asked": len(found.not_asked),
        **records("differences", [_shown(row) for row in found.differing[:_SHOWN]]),
        **location(imp, source_counts_path(), "comparison"),
    }


def _shown(row: Row) -> dict[str, Any]:
    names = ("event", "source", "arrived", "rejected", "left_out", "repeated", "dropped", "owed", "unnamed")
    return {"day": str(row.day)} | {name: getattr(row, name) for name in names} | {"unexplained": row.unexplained}
