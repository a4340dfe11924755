"""traces: what the import leaves in PostHog beside its events."""

import dagster as dg

from posthog_assets.orchestration.assets.declaration import RETRIES, explained
from posthog_assets.orchestration.assets.imported_batches import pool_of
from posthog_assets.orchestration.assets.metadata import records
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.traces import leave_traces

DESCRIPTION = """An annotation where the imported history ends, a static cohort of the imported persons, descriptions
and tags of event names: what the import file's `traces` asks for.

Not partitioned. Materialize it when the import is done; again after more days. Leaving traces twice is leaving them
once, and what somebody else has written in PostHog stays."""


def build_traces(imp: Import) -> dg.AssetsDefinition:
    """Return the asset `<import>/traces`."""

    @dg.asset(
        key=dg.AssetKey([imp.name, "traces"]),
        deps=[dg.AssetKey([imp.name, "imported_batches"])],
        group_name=imp.name,
        description=DESCRIPTION,
        kinds={"posthog"},
        owners=imp.owners,
        pool=pool_of(imp, "posthog_queries"),
        retry_policy=RETRIES(1),
    )
    def traces(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with explained():
            made = leave_traces(imp)
        for trace in made:
            context.log.info(f"{trace.kind} {trace.name}: {trace.outcome}")
        rows = [{"trace": trace.kind, "name": trace.name, "outcome": trace.outcome} for trace in made]
        return dg.MaterializeResult(metadata={"dagster/row_count": len(made), **records("traces", rows)})

    return traces
