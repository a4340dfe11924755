"""raw_export: one day as the source delivered it, pinned once."""

import dagster as dg

from posthog_assets.assets.glue import RETRIES, day_of, declare, explained
from posthog_assets.import_file import Import
from posthog_assets.steps import export_day, key_of

DESCRIPTION = """One day of history exactly as the source delivered it, with a manifest of its parts.

Fetched once and pinned: later steps read this copy and never the source. Materializing it again fetches only what the
source has changed; an interrupted export goes on after its last complete part."""


def build_raw_export(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/raw_export`."""

    @declare(
        imp, "raw_export", partitions,
        description=DESCRIPTION, kinds={imp.source.type}, retry_policy=RETRIES(3), pool=imp.source.pool,
    )  # fmt: skip
    def raw_export(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day = day_of(context)
        with explained():
            manifest = export_day(imp, day)
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": sum(part.records for part in manifest.parts),
                "dagster/size_bytes": sum(part.bytes for part in manifest.parts),
                "parts": len(manifest.parts),
                "fetched_at": manifest.fetched_at,
                "manifest": dg.MetadataValue.path(str(imp.store.path(f"raw_export/{key_of(day)}/manifest.json"))),
            },
            data_version=dg.DataVersion(manifest.digest()),
        )

    return raw_export
