"""The group types that an import brings into its project.

Belongs here: which they are, as far as it is known, and refusing a day's. Does not belong here: the project's
(`destination.known_group_types`), or finding them in events (`mapping.group_types`).
"""

from __future__ import annotations

import orjson

from posthog_assets.core.errors import DamagedFile, KeyRefused, shorten
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.destination.known_group_types import known_group_types, refuse_group_types
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.storage.layout import group_types_path


def declared_group_types(imp: Import) -> list[str]:
    """Return the group types that the import file itself names, and those of days that were sent."""
    renamed = imp.mapping.groups
    declared = (renamed.get(kind, kind) for kind in getattr(imp.dialect, "groups", {}))
    return sorted({*(kind for kind in declared if kind), *_sent(imp)})


def check_day_group_types(imp: Import, day: Partition, noted: str | None) -> str:
    """Refuse group types of *day* that the project should not get; remember those that it may get now.

    *noted* is what the events' file says of its group types, a JSON list; None: they name none. Returned is why the
    project could not be asked for its types though there is a personal key; nothing where it was, or there is no key.

    Raises:
        GroupTypesRefused: and what to do.
        LookUnavailable: PostHog did not say which types it has.
        DamagedFile: the list of types that were sent cannot be read.
    """
    if not noted:
        return ""
    known, unasked = _of_project(imp.destination)
    named, sent, what = set(orjson.loads(noted)), set(_sent(imp)), f"{imp.name} of {key_of(day)}"

    def refuse(kinds: set[str]) -> None:
        refuse_group_types(kinds, known, imp.destination.new_group_types, what)

    # A project that can be asked knows best what it has; else what was sent before counts.
    was_asked = known is not None
    if was_asked or named <= sent:
        refuse(named if was_asked else sent)
    if not named <= sent:
        # Other days may be sent at this moment, and bring types of their own.
        with imp.store.brief_lock("group-types"):
            together = named.union(_sent(imp))
            if not was_asked:
                refuse(together)
            imp.store.write_bytes(group_types_path(), orjson.dumps(sorted(together)))
    return unasked


def _of_project(destination: Destination) -> tuple[list[str] | None, str]:
    """Return the project's group types, None where it was not asked; and why not, though there is a key."""
    if not destination.verifies:
        return None, ""
    try:
        known = known_group_types(QueryClient(destination))
    except KeyRefused as error:
        return None, str(error)
    return known, "" if known is not None else "this PostHog cannot be asked for its group types"


def _sent(imp: Import) -> list[str]:
    try:
        content = imp.store.read_bytes(group_types_path())
    except FileNotFoundError:
        return []
    try:
        kinds = orjson.loads(content)
        if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
            raise ValueError("it is no list of texts")
    except ValueError as error:
        raise DamagedFile(
            f"{imp.store.path(group_types_path())}, which lists the group types of the days that were sent, cannot be "
            f"read: {shorten(str(error))}. Delete it: days that are sent from now on are listed again, and without a "
            "personal key the types of earlier days no longer count against the project's five"
        ) from error
    return kinds
