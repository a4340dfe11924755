"""What `raw_export` does to one day.

Belongs here: the calls from source to raw export. Does not belong here: any source.
"""

from __future__ import annotations

from collections.abc import Callable

from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.sources.manifest import Manifest, RawExport


def export_day(imp: Import, day: Partition, progress: Callable[[int], None] = lambda received: None) -> Manifest:
    """Fetch one day from the source, or keep what is pinned where the source has not changed.

    *progress* gets the bytes received so far.
    """
    with imp.store.lock("raw_export", key_of(day)):
        raw = RawExport(imp.store, day, progress)
        imp.source.export(imp.start_date if isinstance(day, str) else day, raw, imp.start_date)
        return raw.manifest()
