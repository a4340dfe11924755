"""The page `/`: the events that the sandbox holds, newest first.

Belongs here: which events a page shows, its links, and what turns a link to PostHog's explorer into one of them. Does
not belong here: HTTP, the table (`store`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from starlette.datastructures import QueryParams

from posthog_assets.core.html_page import POLICY, environment
from posthog_assets.core.markup import visible_lines
from posthog_assets.sandbox.store import literal

#: Events on a page, names in the filter, and characters of an event's properties.
_EVENTS: Final = 100
_NAMES: Final = 500
_PROPERTIES: Final = 20_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Query = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are shown: all that have every given value. *properties* are pairs of key and text.

    *after* and *before* are moments as ISO 8601, both exclusive; *page* counts from 1, the newest events.
    """

    event: str = ""
    person: str = ""
    after: str = ""
    before: str = ""
    properties: tuple[tuple[str, str], ...] = ()
    page: int = 1

    @classmethod
    def of(cls, parameters: QueryParams) -> Filter:
        """Return what the address of the page asks for; what is not readable there is not asked for."""
        pairs = (text.partition("=") for text in parameters.getlist("property"))
        number = parameters.get("page", "")
        return cls(
            parameters.get("event", "").strip(),
            parameters.get("person", "").strip(),
            _moment(parameters.get("after", "")),
            _moment(parameters.get("before", "")),
            tuple((key, value) for key, _, value in pairs if key),
            max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 8 else 1,
        )

    def address(self, **changes: Any) -> str:
        """Return the address of the page with *changes*."""
        wanted = replace(self, **changes)
        pairs = [(key, getattr(wanted, key)) for key in ("event", "person", "after", "before")]
        pairs += [("property", f"{key}={value}") for key, value in wanted.properties]
        pairs += [("page", str(wanted.page))] if wanted.page > 1 else []
        return "/?" + urlencode([(key, value) for key, value in pairs if value])

    def condition(self) -> str:
        """Return the WHERE of ClickHouse SQL."""
        parts = [f"event = {literal(self.event)}"] if self.event else []
        parts += [f"distinct_id = {literal(self.person)}"] if self.person else []
        parts += [f"timestamp > toDateTime64({literal(self.after)}, 6, 'UTC')"] if self.after else []
        parts += [f"timestamp < toDateTime64({literal(self.before)}, 6, 'UTC')"] if self.before else []
        parts += [f"JSONExtractString(properties, {literal(key)}) = {literal(value)}" for key, value in self.properties]
        return " AND ".join(parts) or "1"


@dataclass(frozen=True, slots=True)
class _Event:
    uuid: str
    event: str
    distinct_id: str
    timestamp: str
    properties: str
    links: dict[str, str] = field(default_factory=dict)


def render(wanted: Filter, query: Query) -> str:
    """Return the page that shows the events of *wanted*; *query* answers SQL as `EventStore.query` does."""
    names = query(f"SELECT event, count() FROM events FINAL GROUP BY event ORDER BY event LIMIT {_NAMES}")["data"]
    count = int(query(f"SELECT count() FROM events FINAL WHERE {wanted.condition()}")["data"][0][0])
    rows = query(
        "SELECT toString(uuid), event, distinct_id, toUnixTimestamp64Micro(timestamp), properties FROM events FINAL "
        f"WHERE {wanted.condition()} ORDER BY timestamp DESC, uuid LIMIT {_EVENTS} OFFSET {_EVENTS * (wanted.page - 1)}"
    )["data"]
    return _environment().get_template("events_page.html.jinja").render(
        policy=_policy(""),
        wanted=wanted,
        names=names,
        total=sum(int(number) for _, number in names),
        count=count,
        first=_EVENTS * (wanted.page - 1) + 1,
        events=[_shown(wanted, row) for row in rows],
        newer=wanted.address(page=wanted.page - 1) if wanted.page > 1 else None,
        older=wanted.address(page=wanted.page + 1) if count > _EVENTS * wanted.page else None,
        chips=_chips(wanted),
    )  # fmt: skip


def _environment() -> Any:
    return environment("posthog_assets.sandbox")


def _shown(wanted: Filter, row: list[Any]) -> _Event:
    uuid, event, distinct_id, stamp, properties = row
    moment = _EPOCH + timedelta(microseconds=int(stamp))
    links = {
        "event": wanted.address(event=event, page=1),
        "person": wanted.address(person=distinct_id, page=1),
    }
    return _Event(uuid, event, distinct_id, moment.isoformat(sep=" ")[:26].removesuffix("+00:00"),
                  _indented(properties), links)  # fmt: skip


def _indented(properties: str) -> str:
    try:
        text = orjson.dumps(orjson.loads(properties), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
    except ValueError:
        text = properties
    text = visible_lines(text)
    return text if len(text) <= _PROPERTIES else f"{text[:_PROPERTIES]} … {len(text) - _PROPERTIES:,} characters more"


def _chips(wanted: Filter) -> list[tuple[str, str]]:
    """Return the filters in words, each with the address of the page without it."""
    words = {"event": "event is", "person": "person is", "after": "after", "before": "before"}
    chips = [
        (f"{text} {getattr(wanted, key)}", wanted.address(**{key: ""}, page=1))
        for key, text in words.items()
        if getattr(wanted, key)
    ]
    for pair in wanted.properties:
        rest = tuple(other for other in wanted.properties if other != pair)
        chips.append((f"{pair[0]} is {pair[1]}", wanted.address(properties=rest, page=1)))
    return chips


def _moment(text: str) -> str:
    """Return a moment of ISO 8601 as ClickHouse reads it, in UTC; empty where it is none or no year of ClickHouse's."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return ""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        return ""
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="auto") if 1900 <= moment.year < 2300 else ""


# --- links to PostHog's explorer ------------------------------------------------------------------------------

#: What PostHog's explorer is asked for stands after the #, which a browser does not send.
_REDIRECT: Final = """
const wanted = new URLSearchParams();
try {
  const source = JSON.parse(decodeURIComponent(location.hash.slice(3))).source;
  for (const name of ["event", "after", "before"]) if (typeof source[name] === "string") wanted.set(name, source[name]);
  for (const {key, value} of source.properties || []) wanted.append("property", key + "=" + [value].flat()[0]);
} catch {}
location.replace("/?" + wanted);
"""


def explorer() -> str:
    """Return the page that takes a link to PostHog's explorer to `/`, with what the link asks for."""
    return _environment().get_template("explorer.html.jinja").render(policy=_policy(_REDIRECT), script=_REDIRECT)


def _policy(script: str) -> str:
    """Return a policy under which nothing is loaded and only *script* runs; forms lead to the sandbox itself."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed: Iterable[str] = (POLICY, "form-action 'self'", f"script-src 'sha256-{digest}'" if script else "")
    return "; ".join(filter(None, allowed))
