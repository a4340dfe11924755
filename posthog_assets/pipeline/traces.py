"""What an import leaves in PostHog beside its events: an annotation, a cohort, descriptions of events.

Belongs here: what is to be there, and making it so. Does not belong here: PostHog's REST API
(`destination.project_api`).

Leaving them twice is leaving them once. What somebody else has written is not written over: a description is changed
only where it is empty, or is what this import wrote last (`traces.json`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from posthog_assets.core.errors import DamagedFile, MissingUpstream, VerificationError, shorten
from posthog_assets.core.hogql import quoted
from posthog_assets.destination.ledger import Ledger
from posthog_assets.destination.project_api import ProjectApi
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.traces import Described
from posthog_assets.pipeline.preview.impact import imported_days
from posthog_assets.storage.layout import traces_path

CREATED: Final = "created"
CHANGED: Final = "changed"
UNCHANGED: Final = "as it was"
KEPT: Final = "kept: somebody else has described it"
ABSENT: Final = "not there yet: PostHog has not seen the event, or has not processed it"


@dataclass(frozen=True)
class Trace:
    """One trace: what it is, its name, and what was done."""

    kind: str
    name: str
    outcome: str


@dataclass(frozen=True)
class Period:
    """The imported history: acknowledged events, and the instants (UTC) of the first and the last of them."""

    events: int
    first: datetime
    last: datetime


@dataclass
class _Kept:
    """What this import wrote last, by event name."""

    descriptions: dict[str, str] = field(default_factory=dict)


def leave_traces(imp: Import) -> list[Trace]:
    """Make the traces that the import file asks for.

    Raises:
        ImportFileError: no personal key or project is set.
        MissingUpstream: nothing is imported yet.
        VerificationError: PostHog refused some of them; the others are there.
        DamagedFile: what was written last cannot be read.
    """
    api, period = ProjectApi(imp.destination), _period(imp)
    made: list[Trace] = []
    problems: list[str] = []
    for leave in _wanted(imp, api, period):
        try:
            made.append(leave())
        except VerificationError as error:
            problems.append(str(error))
    if problems:
        raise VerificationError("; ".join(problems))
    return made


def _wanted(imp: Import, api: ProjectApi, period: Period) -> Iterator[Callable[[], Trace]]:
    traces = imp.traces
    if traces is None:
        return
    if traces.annotation:
        yield lambda: _annotate(api, imp, period)
    if traces.cohort:
        yield lambda: _make_cohort(api, imp, period)
    for name, described in traces.describe.items():
        yield lambda name=name, described=described: _describe(api, imp, name, described)  # type: ignore[misc]


def _period(imp: Import) -> Period:
    """Return the imported period, as the ledgers tell it."""
    events, ends = 0, []
    for day in imported_days(imp):
        ledger = Ledger(imp.store, day.isoformat())
        if count := int(ledger.load().acknowledged.sum()):
            events += count
            facts = [facts for _, facts in ledger.batch_facts()]
            ends += [stamp for item in facts for stamp in (item.first_timestamp, item.last_timestamp) if stamp]
    if not ends:
        raise MissingUpstream(f"{imp.name} has imported nothing yet: materialize imported_batches first")
    moments = [datetime.fromisoformat(stamp).astimezone(UTC) for stamp in ends]
    return Period(events, min(moments), max(moments))


def _annotate(api: ProjectApi, imp: Import, period: Period) -> Trace:
    mark = f"posthog-assets: {imp.name}"
    content = f"{period.events:,} events of {period.first:%Y-%m-%d} to {period.last:%Y-%m-%d} were imported ({mark})"
    wanted = {"content": content, "date_marker": period.last.isoformat(timespec="seconds"), "scope": "project"}
    for entry in api.entries("annotations", "annotation:read", search=mark):
        if str(entry.get("content", "")).endswith(f"({mark})") and not entry.get("deleted"):
            if entry["content"] == content and _same_instant(entry.get("date_marker"), wanted["date_marker"]):
                return Trace("annotation", content, UNCHANGED)
            api.ask("PATCH", f"annotations/{entry['id']}/", "annotation:write", wanted)
            return Trace("annotation", content, CHANGED)
    api.ask("POST", "annotations/", "annotation:write", wanted)
    return Trace("annotation", content, CREATED)


def _same_instant(one: Any, other: str) -> bool:
    try:
        return datetime.fromisoformat(str(one)) == datetime.fromisoformat(other)
    except ValueError:
        return False


def _make_cohort(api: ProjectApi, imp: Import, period: Period) -> Trace:
    """Make a static cohort of the persons of imported events; one that is there is left as it is.

    PostHog fills it by the query (posthog/api/cohort.py, `insert_cohort_from_query`).
    """
    name = f"Imported by posthog-assets: {imp.name}"
    for entry in api.entries("cohorts", "cohort:read", search=name):
        if entry.get("name") == name and not entry.get("deleted"):
            return Trace("cohort", name, f"{UNCHANGED}; delete it in PostHog to have it made again")
    first, last = period.first, period.last + timedelta(seconds=1)
    query = (
        f"SELECT DISTINCT person_id FROM events WHERE properties.{imp.mapping.markers.import_name} = "
        f"{quoted(imp.name)} AND timestamp >= toDateTime64({quoted(f'{first:%Y-%m-%d %H:%M:%S}')}, 6, 'UTC') "
        f"AND timestamp <= toDateTime64({quoted(f'{last:%Y-%m-%d %H:%M:%S}')}, 6, 'UTC')"
    )
    content = {
        "name": name, "is_static": True, "query": {"kind": "HogQLQuery", "query": query},
        "description": f"Persons with imported events of {first:%Y-%m-%d} to {period.last:%Y-%m-%d}",
    }  # fmt: skip
    api.ask("POST", "cohorts/", "cohort:write", content)
    return Trace("cohort", name, CREATED)


def _describe(api: ProjectApi, imp: Import, name: str, described: Described) -> Trace:
    entries = api.entries("event_definitions", "event_definition:read", search=name)
    entry = next((entry for entry in entries if entry.get("name") == name), None)
    if entry is None:
        return Trace("description", name, ABSENT)
    kept = _read(imp)
    changes, foreign = _changes(entry, described, kept.descriptions.get(name))
    if changes:
        api.ask("PATCH", f"event_definitions/{entry['id']}/", "event_definition:write", changes)
    if described.description and not foreign and kept.descriptions.get(name) != described.description:
        kept.descriptions[name] = described.description
        imp.store.write_bytes(traces_path(), orjson.dumps({"descriptions": kept.descriptions}))
    return Trace("description", name, KEPT if foreign else CHANGED if changes else UNCHANGED)


def _changes(entry: dict[str, Any], described: Described, ours: str | None) -> tuple[dict[str, Any], bool]:
    """Return what is to be changed of a definition, and whether its description is somebody else's."""
    changes: dict[str, Any] = {}
    there = entry.get("description") or ""
    foreign = bool(described.description and there and there not in (described.description, ours))
    if described.description and not foreign and there != described.description:
        changes["description"] = described.description
    tags = [tag for tag in entry.get("tags") or [] if isinstance(tag, str)]
    if new := [tag for tag in described.tags if tag not in tags]:
        changes["tags"] = [*tags, *new]
    if described.verified and not entry.get("verified"):
        changes["verified"] = True
    return changes, foreign


def _read(imp: Import) -> _Kept:
    try:
        content = imp.store.read_bytes(traces_path())
    except FileNotFoundError:
        return _Kept()
    try:
        descriptions = orjson.loads(content)["descriptions"]
        if not isinstance(descriptions, dict):
            raise ValueError("descriptions are no object")
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFile(
            f"{imp.store.path(traces_path())}, which keeps the descriptions that this import wrote last, cannot be "
            f"read: {shorten(repr(error))}. Delete it: no description is lost in PostHog, but those that the import "
            "file has changed since then count as somebody else's and are kept, unless they are emptied in PostHog"
        ) from error
    return _Kept(descriptions)
