"""raw_export: one day as the source delivered it, pinned once."""

import time
from typing import Final

import dagster as dg

from posthog_assets.core.partitions import key_of
from posthog_assets.orchestration.assets.declaration import RETRIES, Progress, day_of, declare, explained
from posthog_assets.orchestration.assets.metadata import location, speed
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day

#: Bump when the same source gives other bytes.
CODE_VERSION: Final = "1"

DESCRIPTION = """One day of history exactly as the source delivered it: the files, and a manifest that lists them.

It is fetched once and kept; every later step reads this copy and never the source. Materializing it again fetches only
what the source has changed, and an interrupted export goes on after its last complete file.

Next: `staged_events`."""


def build_raw_export(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/raw_export`."""

    @declare(
        imp, "raw_export", partitions, description=DESCRIPTION, code_version=CODE_VERSION, kinds={_kind(imp)},
        retry_policy=RETRIES(3), pool=imp.source.pool,
    )  # fmt: skip
    def raw_export(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day, began = day_of(context), time.monotonic()
        with explained():
            manifest = export_day(imp, day, Progress(context, "exported", "bytes"))
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": sum(part.records for part in manifest.parts),
                "dagster/size_bytes": sum(part.bytes for part in manifest.parts),
                "parts": len(manifest.parts),
                "fetched_at": manifest.fetched_at,
                # No rate: a day that is pinned already takes no time at all.
                **speed(0, time.monotonic() - began),
                **location(imp, f"raw_export/{key_of(day)}/manifest.json", "manifest"),
            },
            data_version=dg.DataVersion(manifest.digest()),
        )

    return raw_export


def _kind(imp: Import) -> str:
    """Return the source's name as Dagster's badge; of a class of somebody's own, its last word."""
    return imp.source.type.rsplit(".", 1)[-1].lower()
