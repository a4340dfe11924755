"""What `raw_export` does to one day.

Belongs here: the calls from source to raw export. Does not belong here: any source.
"""

from __future__ import annotations

from collections.abc import Callable

from posthog_assets.core.errors import BrokenPart
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.sources.manifest import Manifest, RawExport


def export_day(imp: Import, day: Partition, progress: Callable[[int], None] = lambda received: None) -> Manifest:
    """Fetch one day from the source, or keep what is pinned where the source has not changed.

    *progress* gets the bytes received so far.
    """
    with imp.store.lock("raw_export", key_of(day)) as holding:

        def received(count: int) -> None:
            holding.check()
            progress(count)

        raw = RawExport(imp.store, day, received)
        imp.source.export(imp.start_date if isinstance(day, str) else day, raw, imp.start_date)
        return raw.manifest()


def export_warnings(imp: Import) -> list[str]:
    """Return what the newest export of the first day found out about the records of all days; nothing: all is well."""
    try:
        account = RawExport(imp.store, imp.start_date).account
    except BrokenPart:
        return []
    return account.warnings(imp.start_date, imp.end_date) if account else []
