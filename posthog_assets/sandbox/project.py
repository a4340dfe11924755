"""Annotations, event definitions and cohorts of the sandbox's project, as PostHog's REST API keeps them.

Belongs here: entries, and what PostHog refuses of them (posthog/api/annotation.py, event_definition.py, cohort.py).
Does not belong here: HTTP, events.

Event definitions are made of the names of events; what is written on them is kept beside. Entries live in one small
file, so that they outlive the process as the events do.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

Entry = dict[str, Any]

#: The root of the ids of event definitions, so that a name keeps its id.
_DEFINITIONS: Final = uuid.UUID("a3a0a9f4-54f9-4d3c-8a53-0f6f6e2a8a10")


class EntryRefused(Exception):
    """PostHog would refuse the entry; *attr* is the field."""

    def __init__(self, attr: str, words: str) -> None:
        super().__init__(words)
        self.attr, self.words = attr, words


class ProjectEntries:
    """The entries of one project; *count* runs a cohort's query and returns how many persons it has."""

    def __init__(self, path: Path, count: Callable[[str], int]) -> None:
        self._path, self._count = path, count
        self._kept: dict[str, Any] = {"annotations": [], "cohorts": [], "definitions": {}}
        if path.exists():
            self._kept = orjson.loads(path.read_bytes())

    def listed(self, what: str, search: str, names: Iterable[str]) -> list[Entry]:
        """Return the entries of a list that contain *search*; *names* are those of the project's events."""
        if what == "event_definitions":
            entries = [self._definition(name) for name in sorted(names)]
        else:
            entries = [entry for entry in self._kept[what] if not entry["deleted"]]
        field = "content" if what == "annotations" else "name"
        return [entry for entry in entries if search.lower() in str(entry[field]).lower()]

    def create(self, what: str, given: Entry) -> Entry:
        """Make an annotation or a cohort; raises EntryRefused."""
        made = _annotation(given) if what == "annotations" else self._cohort(given)
        made |= {"id": len(self._kept[what]) + 1, "deleted": False, "created_at": datetime.now(UTC).isoformat()}
        self._kept[what].append(made)
        self._save()
        return made

    def change(self, what: str, key: str, given: Entry, names: Iterable[str]) -> Entry | None:
        """Change an entry; None where there is none of that id. Raises EntryRefused."""
        if what == "event_definitions":
            name = next((name for name in names if self._definition(name)["id"] == key), None)
            if name is None:
                return None
            self._kept["definitions"].setdefault(name, {}).update(_definition_changes(given))
            self._save()
            return self._definition(name)
        entry: Entry | None = next((entry for entry in self._kept[what] if str(entry["id"]) == key), None)
        if entry is not None:
            entry |= _annotation(entry | given) if what == "annotations" else given
            self._save()
        return entry

    def _definition(self, name: str) -> Entry:
        kept = self._kept["definitions"].get(name, {})
        made = {"id": str(uuid.uuid5(_DEFINITIONS, name)), "name": name, "description": "", "tags": []}
        return made | {"verified": False, "enforcement_mode": "allow"} | kept

    def _cohort(self, given: Entry) -> Entry:
        if not isinstance(given.get("name"), str):
            raise EntryRefused("name", "This field is required.")
        query = given.get("query")
        if query and not given.get("is_static"):
            raise EntryRefused("query", "Cannot create a dynamic cohort with a query. Set is_static to true.")
        if not isinstance(query, dict) or query.get("kind") != "HogQLQuery":
            raise EntryRefused("query", "Invalid source for static cohort. The sandbox takes a HogQLQuery.")
        count = self._count(str(query.get("query")))
        return {
            "name": given["name"], "description": given.get("description", ""), "query": query, "is_static": True,
            "count": count, "is_calculating": False,
        }  # fmt: skip

    def _save(self) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_bytes(orjson.dumps(self._kept))
        temporary.replace(self._path)


def _annotation(given: Entry) -> Entry:
    try:
        datetime.fromisoformat(given["date_marker"])
    except (KeyError, TypeError, ValueError):
        raise EntryRefused("date_marker", "Datetime has wrong format.") from None
    if not isinstance(given.get("content"), str) or len(given["content"]) > 8192:
        raise EntryRefused("content", "Not a valid string.")
    scope = given.get("scope", "dashboard_item")
    if scope not in ("dashboard_item", "dashboard", "project", "organization"):
        raise EntryRefused("scope", f'"{scope}" is not a valid choice.')
    return {"content": given["content"], "date_marker": given["date_marker"], "scope": scope, "creation_type": "USR"}


def _definition_changes(given: Entry) -> Entry:
    for name, kind in (("description", str), ("tags", list), ("verified", bool)):
        if name in given and not isinstance(given[name], kind):
            raise EntryRefused(name, f"Not a valid {kind.__name__}.")
    return {name: given[name] for name in ("description", "tags", "verified") if name in given}
