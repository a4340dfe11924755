"""Why PostHog dropped or changed events that it had acknowledged, as its ingestion warnings say.

Belongs here: the query of `system.ingestion_warnings`, what the types of warnings mean, and which warning is about
which event. Does not belong here: counting what has landed (`landing`).

PostHog writes one warning for many events of a kind (it is debounced by type and key), and older versions cannot be
asked. So warnings give reasons and never counts, and an event without one is missing all the same. A warning quotes
the event, so its text is a stranger's: it is shown (`core.markup`), and never becomes part of a query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from posthog_assets.core.errors import VerificationError, shorten
from posthog_assets.core.hogql import quoted
from posthog_assets.core.markup import visible
from posthog_assets.destination.query_client import QueryClient

#: What each type means, from nodejs/src/ingestion and rust/capture of PostHog's repository.
_DROPPED: Final = {
    "message_size_too_large": "larger than 1 MB after the properties of person and groups were copied into the event",
    "group_key_too_long": "a group key is longer than 400 characters",
    "invalid_group_set": "$group_set is no object",
    "schema_validation_failed": "the project enforces a schema that the event does not keep to",
    "skipping_event_invalid_distinct_id": "distinct_id is longer than 400 characters",
    "skipping_event_invalid_uuid": "the uuid is none",
    "event_dropped_too_old": "older than the project's setting drop_events_older_than allows",
    "event_dropped_by_transformation": "a transformation of the project dropped it",
    "event_dropped_person_processing_disabled": "the project does not process persons, and the event needs one",
}
_CHANGED: Final = {
    "distinct_id_truncated": "distinct_id was cut to 200 characters",
    "ignored_invalid_timestamp": "the timestamp could not be read, so the event has the time of its arrival",
    "invalid_ai_token_property": "a property of $ai_ tokens is no number and was removed",
    "invalid_process_person_profile": "$process_person_profile is neither true nor false",
    "person_properties_size_violation": "the person is larger than PostHog stores; its properties were not updated",
    "cannot_merge_already_identified": "the persons were not merged: the anonymous id is an identified person's",
    "cannot_merge_with_illegal_distinct_id": "the persons were not merged: one id is one PostHog gives no person",
    "merge_race_condition": "the persons were not merged: another merge ran at the same time",
    "merge_move_limit_exceeded": "the persons were not merged: one has too many distinct ids",
    "merge_settled_failure": "the persons were not merged",
}

#: Warnings that one question gives at most, newest first, and missing events it names.
_ROWS: Final = 10_000
_NAMED: Final = 400

#: Clocks of two machines, and warnings that ingestion writes while the answer is still on its way.
_MARGIN: Final = timedelta(minutes=10)

#: The table explains; nothing waits long for it.
_TRIES: Final = 2

_UUID: Final = "JSONExtractString(details, 'eventUuid')"
_ID: Final = "JSONExtractString(details, 'distinctId')"

_IS_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch


@dataclass(frozen=True, slots=True)
class IngestionWarning:
    """One reason that PostHog gives for one event name; *details* is a stranger's text."""

    type: str
    #: Name of the event in the import.
    event: str
    #: Whether the event it names is missing; else it has landed, changed.
    missing: bool
    #: One event it is about.
    uuid: str
    #: Whether the warning names that uuid, and not only the distinct_id of the event.
    by_uuid: bool
    details: str

    @property
    def words(self) -> str:
        """What the type means; empty where it is not known."""
        return _DROPPED.get(self.type) or _CHANGED.get(self.type) or ""

    def as_row(self) -> dict[str, str]:
        """Return the warning as text that is safe to show in one line."""
        return {
            "warning": visible(shorten(self.type, 80)),
            "events": "missing" if self.missing else "landed, changed",
            "meaning": self.words,
            "event": visible(shorten(self.event, 80)),
            "uuid": visible(self.uuid),
            "found_by": "uuid" if self.by_uuid else "distinct_id",
            "details": visible(shorten(self.details, 200)),
        }


#: Returns name and distinct_id of those of some uuids that are events of the day.
Describe = Callable[[set[str]], Mapping[str, tuple[str, str]]]


def find_warnings(
    client: QueryClient, since: datetime, missing: Mapping[str, list[str]], describe: Describe
) -> list[IngestionWarning] | None:
    """Return what PostHog's warnings since *since* (UTC) say of a day's events; None where it cannot be asked.

    *missing* holds uuids by event name. One warning is returned for each type, event name, and whether the event is
    missing.
    """
    named = describe(set(_some(missing)))
    lost = {uuid for uuids in missing.values() for uuid in uuids}
    try:
        rows = [*_asked(client, since, named), *_asked(client, since, None)]
    except VerificationError:
        return None
    others = {uuid for _, uuid, _, _ in rows if uuid and uuid not in named}
    described = dict(describe(others)) | dict(named)
    by_id: dict[str, str] = {}
    for uuid, (_, distinct_id) in named.items():
        by_id.setdefault(distinct_id, uuid)
    found: dict[tuple[str, str, bool], IngestionWarning] = {}
    # Those that name the event come before those that only name its distinct_id.
    for warning in sorted(_joined(rows, described, lost, by_id), key=lambda warning: not warning.by_uuid):
        found.setdefault((warning.type, warning.event, warning.missing), warning)
    return sorted(found.values(), key=lambda warning: (not warning.missing, warning.type, warning.event))


def _some(missing: Mapping[str, list[str]]) -> list[str]:
    """Return a part of the missing uuids, of each event name as many."""
    each = max(1, _NAMED // max(1, len(missing)))
    return [uuid for uuids in missing.values() for uuid in uuids[:each]][:_NAMED]


def _asked(client: QueryClient, since: datetime, named: Mapping[str, tuple[str, str]] | None) -> list[list[str]]:
    """Return (type, uuid, distinct_id, details) of warnings: of all, or of *named* events only."""
    if named is not None and not named:
        return []
    first = (since.astimezone(UTC) - _MARGIN).strftime("%Y-%m-%d %H:%M:%S.%f")
    condition = f"timestamp >= toDateTime64({quoted(first)}, 6, 'UTC')"
    if named:
        uuids = ", ".join(quoted(uuid) for uuid in named)
        ids = ", ".join(sorted({quoted(distinct_id) for _, distinct_id in named.values()}))
        condition += f" AND ({_UUID} IN ({uuids}) OR {_ID} IN ({ids}))"
    answer = client.ask(
        f"SELECT type, {_UUID} AS event_uuid, {_ID} AS of_id, substring(details, 1, 1000) AS text "
        f"FROM system.ingestion_warnings WHERE {condition} ORDER BY timestamp DESC LIMIT {_ROWS}",
        tries=_TRIES,
    )
    rows = [row for row in answer.rows if len(row) == 4 and all(isinstance(cell, str) for cell in row)]
    return [[kind, uuid.lower() if _IS_UUID(uuid) else "", of_id, text] for kind, uuid, of_id, text in rows]


def _joined(
    rows: list[list[Any]], described: Mapping[str, tuple[str, str]], lost: set[str], by_id: Mapping[str, str]
) -> Iterator[IngestionWarning]:
    for kind, uuid, distinct_id, details in rows:
        if uuid in described:
            # What is there was not dropped: that warning is of an earlier delivery.
            if uuid in lost or kind not in _DROPPED:
                yield IngestionWarning(kind, described[uuid][0], uuid in lost, uuid, True, details)
        elif distinct_id and kind not in _CHANGED and (other := by_id.get(distinct_id)):
            yield IngestionWarning(kind, described[other][0], True, other, False, details)


def reasons(warnings: list[IngestionWarning] | None) -> str:
    """Return in one sentence why events are missing, as far as PostHog says; empty where it does not."""
    kinds = {warning.type: warning for warning in warnings or () if warning.missing}
    if not kinds:
        return ""
    some = [
        f"{visible(shorten(kind, 80))}{f' ({warning.words})' if warning.words else ''}"
        for kind, warning in list(kinds.items())[:3]
    ]
    more = f" and {len(kinds) - 3} more" if len(kinds) > 3 else ""
    return f"PostHog's ingestion warnings name as reasons: {'; '.join(some)}{more}"
