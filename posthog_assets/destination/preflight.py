"""What can be known about a destination before the first event is sent.

Belongs here: questions to PostHog that store nothing, and the canary that stores one event. Does not belong here: the
events of an import.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import orjson

from posthog_assets.core.errors import ImportFileError, KeyRefused, LookUnavailable, VerificationError, shorten
from posthog_assets.core.posthog_rules import GROUP_TYPES
from posthog_assets.destination.client import CaptureClient, compressed
from posthog_assets.destination.known_group_types import group_type_flaws, known_group_types
from posthog_assets.destination.project_api import ProjectApi
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination, Protocol
from posthog_assets.destination.survey import RECENT
from posthog_assets.destination.verdicts import Answer, Consequence

OK: Final = "ok"


WARNING: Final = "warning"


PROBLEM: Final = "problem"


#: A person waits: the longest time for one answer, seconds, and how often a question is asked.
PATIENCE: Final = 10.0
TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: *level* is ok, warning or problem."""

    level: str
    subject: str
    words: str


def preflight(
    destination: Destination,
    first_day: date,
    last_day: date | None,
    *,
    group_types: Collection[str] = (),
    events: Collection[str] = (),
    now: datetime | None = None,
) -> Iterator[Finding]:
    """Yield what can be known of *destination* for an import of *first_day* to *last_day*; stores nothing.

    *group_types* and *events* are those that the import is known to bring, which need not be all of them.
    """
    now = now or datetime.now(UTC)
    try:
        host = destination.ingestion_host()
        destination.write_key()
    except ImportFileError as error:
        yield Finding(PROBLEM, "destination", str(error))
        return
    yield Finding(OK, "project key", "has the shape of a project key")
    if host.startswith("http://") and not _is_loopback(host):
        yield Finding(WARNING, "host", f"{host} is not encrypted: key and events can be read on the way")
    quick = destination.model_copy(update={"timeout_seconds": min(destination.timeout_seconds, PATIENCE)})
    protocol = _protocol(quick)
    yield protocol
    yield _flag(destination)
    yield _rate(destination)
    yield _age(destination, last_day, now)
    if destination.verifies and protocol.subject == _SILENT:
        yield Finding(WARNING, "personal key", "was not tried, because the host does not answer")
    elif destination.verifies:
        client = QueryClient(quick, TRIES)
        yield from _project(quick, client, first_day, now)
        yield from _group_types(quick, client, group_types)
        yield from _schemas(quick, events)
    else:
        yield Finding(
            WARNING,
            "verification",
            "no personal_api_key and project_id: whether events land cannot be looked up. PostHog answers 200 to a "
            "wrong project key of the right shape, so a typing error would lose the whole import unseen",
        )


#: The subject of a finding that says that nothing answers.
_SILENT: Final = "host"


def _is_loopback(host: str) -> bool:
    return any(host.startswith(f"http://{name}") for name in ("127.", "localhost", "[::1]"))


def _protocol(destination: Destination) -> Finding:
    """Ask with an empty batch, which PostHog refuses without looking further."""
    with CaptureClient(destination) as client:
        if destination.protocol != "batch":
            answer = _ask_empty(client, Protocol.V1)
            if answer.consequence is not Consequence.FALL_BACK:
                return _served(answer, "/i/v1/analytics/events (v1: a verdict for each event)")
            if destination.protocol == "v1":
                return Finding(PROBLEM, "protocol", "v1 is not served there; set destination.protocol to auto or batch")
        return _served(_ask_empty(client, Protocol.BATCH), "/batch/ (one answer for a whole batch)")


def _ask_empty(client: CaptureClient, protocol: Protocol) -> Answer:
    body: dict[str, Any] = {"historical_migration": True, "batch": []}
    body |= {"created_at": datetime.now(UTC).isoformat()} if protocol is Protocol.V1 else {"api_key": client.key}
    return client.send(compressed(protocol, [orjson.dumps(body)], 0))


def _served(answer: Answer, what: str) -> Finding:
    match answer.consequence:
        case Consequence.SETTLED | Consequence.SPLIT:
            return Finding(OK, "protocol", f"events will go to {what}")
        case Consequence.STOP:
            return Finding(PROBLEM, "protocol", f"PostHog refuses (HTTP {answer.status}): {answer.words}")
        case Consequence.WAIT:
            return Finding(WARNING, "protocol", f"PostHog asks to wait (HTTP {answer.status}): {answer.words}")
    if answer.status is None:
        return Finding(
            PROBLEM, _SILENT, f"{answer.words}. Correct destination.host, or try again when it can be reached"
        )
    return Finding(PROBLEM, "protocol", f"PostHog does not answer as expected: {answer.words or answer.status}")


def _flag(destination: Destination) -> Finding:
    if destination.historical_migration:
        return Finding(OK, "historical_migration", "set: events take PostHog's historical lane")
    return Finding(
        WARNING,
        "historical_migration",
        "off: PostHog bills the events as live ones, and its spike detection sees them",
    )


def _rate(destination: Destination) -> Finding:
    rate, requests = destination.events_per_second, destination.max_requests_per_second
    words = f"at most {rate:,g} events a second over all workers" if rate else "no limit of events per second"
    if rate and not destination.max_events_per_second:
        words += ", the default for PostHog Cloud; destination.max_events_per_second changes it"
    if requests:
        words += f", at most {requests:,g} requests a second"
    return Finding(OK, "rate", words)


def _age(destination: Destination, last_day: date | None, now: datetime) -> Finding:
    if last_day is not None and datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC) < now - RECENT - (
        timedelta(days=1)
    ):
        return Finding(OK, "age", "every day is older than 48 hours")
    if destination.recent_events == "hold_back":
        return Finding(OK, "age", "events younger than 48 hours are held back until they are older")
    return Finding(
        WARNING,
        "age",
        "days younger than 48 hours are part of the import: PostHog takes their events but bills them as live; "
        "destination.recent_events: hold_back waits",
    )


def _project(destination: Destination, client: QueryClient, first_day: date, now: datetime) -> Iterator[Finding]:
    try:
        client.ask("SELECT count() FROM events WHERE event = ''")
        yield Finding(OK, "personal key", "may query the project")
        settings = client.project()
    except VerificationError as error:
        yield Finding(PROBLEM, "personal key", str(error))
        return
    if settings is None:
        yield Finding(
            WARNING,
            "project settings",
            "cannot be read: give the personal key the scope project:read, or send a canary (--canary)",
        )
        return
    yield _same_project(destination, settings.get("api_token"))
    yield _drops_old(settings.get("drop_events_older_than"), first_day, now)
    if settings.get("person_processing_opt_out") is True:
        yield Finding(
            WARNING,
            "persons",
            "the project does not process persons: events arrive without a person, and $identify, $create_alias and "
            "$groupidentify are dropped. Change it before importing, or set mapping.identify: false",
        )


def _group_types(destination: Destination, client: QueryClient, named: Collection[str]) -> Iterator[Finding]:
    try:
        known = known_group_types(client)
    except LookUnavailable as error:
        yield Finding(WARNING, "group types", f"those of the project are not known: {error}")
        return
    except KeyRefused as error:
        yield Finding(WARNING, "group types", f"are not checked, so a new one or a sixth will not be noticed: {error}")
        return
    if known is None:
        yield Finding(OK, "group types", "cannot be asked of this PostHog: new ones will not be noticed")
        return
    wanted = list(dict.fromkeys([*named, *destination.new_group_types]))
    found = [
        Finding(PROBLEM, "group types", words) for words in group_type_flaws(wanted, known, destination.new_group_types)
    ]
    new = [kind for kind in wanted if kind not in known]
    words = f"the project has {len(known)} of {GROUP_TYPES}: {', '.join(known) or 'none'}"
    yield from found or [Finding(OK, "group types", f"{words}; new: {', '.join(new)}" if new else words)]


def _schemas(destination: Destination, events: Collection[str]) -> Iterator[Finding]:
    """Yield which events the project holds against a schema; nothing where it does not say so."""
    try:
        entries = ProjectApi(destination, tries=1).entries("event_definitions", "event_definition:read")
        names = sorted(str(entry.get("name")) for entry in entries if entry.get("enforcement_mode") == "reject")
    except VerificationError:
        # The key may lack the scope, and most projects enforce nothing.
        return
    if not names:
        return
    ours = [name for name in names if name in events]
    shown = ", ".join(shorten(name, 60) for name in (ours or names)[:10])
    whose = "of this import's events these" if ours else "these events"
    yield Finding(
        WARNING,
        "schemas",
        f"{whose} must keep to a schema, and PostHog drops those that do not after it has acknowledged them: {shown}. "
        "landed_events finds what was dropped; the step schema rejects it before",
    )


def _same_project(destination: Destination, token: object) -> Finding:
    if not isinstance(token, str) or not token:
        return Finding(
            WARNING,
            "project key",
            "PostHog does not say which key the project has; "
            "posthog-assets check --canary finds out, by one event that stays in the project",
        )
    if token == destination.write_key():
        return Finding(OK, "project key", f"is the key of project {destination.project_id}")
    return Finding(
        PROBLEM,
        "project key",
        f"is not the key of project {destination.project_id}: PostHog would answer 200 and the events would go "
        "elsewhere or nowhere. Copy the key again from PostHog > Project settings",
    )


def _drops_old(value: object, first_day: date, now: datetime) -> Finding:
    seconds = _seconds(value)
    if not seconds:
        return Finding(OK, "old events", "the project does not drop events by age, as far as it says")
    oldest = (now - timedelta(seconds=seconds)).date()
    level = PROBLEM if first_day < oldest else OK
    return Finding(
        level,
        "old events",
        f"the project drops events older than {oldest} without an error (drop_events_older_than)"
        + ("; clear that setting before importing" if level == PROBLEM else ""),
    )


def _seconds(value: object) -> float:
    """Return a duration, a number of seconds or text such as `30 00:00:00`, in seconds; 0 where it is neither."""
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return 0.0
    days, _, clock = value.rpartition(" ")
    parts = clock.split(":")
    try:
        numbers = [float(part) for part in parts]
        whole = float(days) * 86_400 if days else 0.0
    except ValueError:
        return 0.0
    return whole + sum(number * 60**power for power, number in enumerate(reversed(numbers)))
