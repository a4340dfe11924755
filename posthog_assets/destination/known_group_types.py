"""Which group types a project may get from an import.

Belongs here: asking which it has, and refusing new ones that the import file does not name. Does not belong here:
which types the events of a day name (`mapping.group_types`).

A project has five group types. A sixth is dropped without an error, and a type that was made by mistake keeps its place
for ever. So a new type is refused before anything is sent, until `destination.new_group_types` names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from posthog_assets.core.errors import GroupTypesRefused, KeyRefused, LookUnavailable, VerificationError, shorten
from posthog_assets.core.posthog_rules import GROUP_TYPES
from posthog_assets.destination.query_client import QueryClient


def known_group_types(client: QueryClient) -> list[str] | None:
    """Return the group types of the project, in the order it got them; None where its version cannot be asked.

    Raises:
        KeyRefused: the personal key may not ask.
        LookUnavailable: PostHog did not answer.
    """
    try:
        rows = client.ask("SELECT group_type FROM system.group_type_mappings ORDER BY group_type_index LIMIT 100").rows
    except (KeyRefused, LookUnavailable):
        raise
    except VerificationError:
        return None
    return [row[0] for row in rows if row and isinstance(row[0], str)]


def refuse_group_types(named: Collection[str], known: list[str] | None, asked_for: Collection[str], what: str) -> None:
    """Refuse group types that the project would not take, or new ones that the import file does not name.

    *named* are those of *what*, which is what a message calls it; *known* are the project's, None where it was not
    asked: then only what no project takes is refused. *asked_for* are those that the import file names.

    Raises:
        GroupTypesRefused: with the types, and what to do.
    """
    for words in group_type_flaws(named, known, asked_for):
        raise GroupTypesRefused(f"{what}: {words}. Nothing was sent")


def group_type_flaws(named: Collection[str], known: list[str] | None, asked_for: Collection[str]) -> Iterator[str]:
    """Yield why a project that has the types *known* (None: not known) should not get those that are *named*."""
    all_types = list(dict.fromkeys([*(known or ()), *sorted(named)]))
    new = [kind for kind in sorted(named) if kind not in (known or ())]
    if len(all_types) > GROUP_TYPES and new:
        has = f", and the project has {_list(known)}" if known else ""
        yield (
            f"a project has at most {GROUP_TYPES} group types and drops the groups of others without an error, but "
            f"the events name {_list(sorted(named))}{has}. Give some of them another type, or none, in mapping.groups"
        )
    unasked = [kind for kind in new if kind not in asked_for]
    if known is not None and unasked:
        yield (
            f"the project does not have the group types {_list(unasked)} (it has {_list(known) or 'none'}), and a "
            f"type keeps its place for ever. Where they are meant, set destination.new_group_types: [{_list(unasked)}]"
            "; else rename or leave them out in mapping.groups"
        )


def _list(kinds: Collection[str] | None) -> str:
    return ", ".join(shorten(kind, 60) for kind in list(kinds or ())[:20])
