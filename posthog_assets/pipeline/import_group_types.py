"""The group types that an import brings into its project.

Belongs here: which they are, as far as it is known, and refusing a day's. Does not belong here: the project's
(`destination.known_group_types`), or finding them in events (`mapping.group_types`).
"""

from __future__ import annotations

import orjson

from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.destination.known_group_types import check_group_types
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.storage.layout import group_types_path


def declared_group_types(imp: Import) -> list[str]:
    """Return the group types that the import file itself names, and those of days that were sent."""
    renamed = imp.mapping.groups
    declared = (renamed.get(kind, kind) for kind in getattr(imp.dialect, "groups", {}))
    return sorted({*(kind for kind in declared if kind), *_sent(imp)})


def check_day_group_types(imp: Import, day: Partition, noted: str | None) -> None:
    """Refuse group types of *day* that the project should not get; remember those that it may get now.

    *noted* is what the events' file says of its group types, a JSON list; None: they name none.

    Raises:
        GroupTypesRefused: and what to do.
        LookUnavailable: PostHog did not say which types it has.
    """
    if not noted:
        return
    named, sent, what = set(orjson.loads(noted)), set(_sent(imp)), f"{imp.name} of {key_of(day)}"
    # A project that can be asked knows best what it has; else what was sent before counts.
    can_be_asked = imp.destination.verifies
    if can_be_asked or named <= sent:
        check_group_types(imp.destination, named if can_be_asked else sent, what)
    if not named <= sent:
        # Other days may be sent at this moment, and bring types of their own.
        with imp.store.brief_lock("group-types"):
            together = named.union(_sent(imp))
            if not can_be_asked:
                check_group_types(imp.destination, together, what)
            imp.store.write_bytes(group_types_path(), orjson.dumps(sorted(together)))


def _sent(imp: Import) -> list[str]:
    try:
        return list(orjson.loads(imp.store.read_bytes(group_types_path())))
    except FileNotFoundError:
        return []
