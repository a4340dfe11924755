"""history_facts: what only all staged days together know of persons, devices and first times."""

import dagster as dg

from posthog_assets.core.schemas import PERSONS
from posthog_assets.orchestration.assets.declaration import column_schema, explained
from posthog_assets.orchestration.assets.metadata import location, records
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.history_facts import HistoryReport, find_history_facts
from posthog_assets.storage.layout import links_path, persons_path

DESCRIPTION = """What only all staged days together know: each person's first events, which ids belong together, which
merges PostHog will refuse, devices of several users, persons of very many events or ids.

Not partitioned. Materialize it after `staged_events` of all days. Where the mapping has `first_time` or
`since_previous`, it writes what each day needs to know, and *changed_days* names the days whose `posthog_events` were
made of other facts: materialize these again."""


def build_history_facts(imp: Import) -> dg.AssetsDefinition:
    """Return the asset `<import>/history_facts`."""

    @dg.asset(
        key=dg.AssetKey([imp.name, "history_facts"]),
        deps=[dg.AssetKey([imp.name, "staged_events"])],
        group_name=imp.name,
        description=DESCRIPTION,
        kinds={"duckdb", "parquet"},
        owners=imp.owners,
        metadata={"dagster/column_schema": column_schema(PERSONS)},
    )
    def history_facts(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with explained():
            report = find_history_facts(imp, lambda step: context.log.info(f"next: {step}"))
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": report.persons,
                **_figures(report),
                **records("largest_persons", report.largest_persons),
                **records("persons_with_many_ids", report.persons_with_many_ids),
                **records("most_shared_devices", report.most_shared_devices),
                **records("changed_days", [{"day": day} for day in report.changed_days]),
                **location(imp, persons_path(), "persons"),
                **location(imp, links_path(), "links"),
            }
        )

    return history_facts


def _figures(report: HistoryReport) -> dict[str, int | float]:
    return {
        "days": report.days,
        "events": report.events,
        "linked_ids": report.links,
        "refused_merges": report.refused_merges,
        "shared_devices": report.shared_devices,
        "days_that_would_change": len(report.changed_days),
        "seconds": round(report.seconds, 3),
    }
