"""The events of another PostHog project, by its query API: self-hosted to Cloud, region to region, project to project.

Belongs here: which events are a day's, page after page. Does not belong here: HTTP (`api`), or what an event's fields
mean (`dialects.posthog`).

Pages are ordered by time, uuid, event and distinct_id; the next one begins after the last row of the one before, so
that no page boundary loses or repeats an event. Each page is a part that remembers where it began and ended: an
interrupted day goes on after its last page.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, Final

import orjson
from pydantic import Field, SecretStr, field_validator

from posthog_assets.core.errors import ImportFileError, SourceRefused, SourceUnavailable, shorten
from posthog_assets.core.hogql import QUERY_LIMITS, Answer, read_answer
from posthog_assets.core.sections import OptionalHttpUrl
from posthog_assets.sources.base import Source
from posthog_assets.sources.formats import Compression, Format, Framing
from posthog_assets.sources.http.api import Api, TooMuch
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.rates import Limit

_LIMITS: Final = tuple(Limit(*limit) for limit in QUERY_LIMITS)

#: A query that takes longer than PostHog allows (10 s), needs more memory, or reads too much:
#: posthog/errors and posthog/exceptions.py. Versions differ in the status, so the words count too.
_TOO_MUCH: Final = frozenset({413, 504, 512, 513})
_TOO_MUCH_WORDS: Final = re.compile(r"max execution time|memory|too long|size exceeded|answers with more than", re.I)

#: No answer is longer.
_ANSWER_BYTES: Final = 512 << 20

_SHORTEST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(days=1)
_FEWEST: Final = 100

_FRAMING: Final = Framing(Format.JSONL, Compression.GZIP)

#: Where a page begins or ends: a time, `2024-03-01 00:00:00.000000`, and the uuid, event and distinct_id that were seen
#: last at it; only the time where everything before it was seen.
Place = tuple[str, ...]


class PostHog(Source):
    """Events whose timestamp lies in the day (UTC), as the project's query API shows them."""

    type: str = "posthog"
    host: OptionalHttpUrl = Field(None, description="Where the app is, such as https://us.posthog.com")
    project_id: str | None = Field(None, description="Number of the project")
    personal_api_key: SecretStr | None = Field(None, description="phx_…, scope query:read")
    events: list[str] = Field(default_factory=list, description="Only events of these names; absent: all")
    where: str | None = Field(None, min_length=1, description="HogQL condition, used as it stands")
    page_rows: int = Field(25_000, ge=1, le=50_000, description="Most events in one answer")
    late_days: int = Field(2, ge=0, description="Days after which a day is exported once more, for late events")
    count_events: bool = Field(False, description="Export a day again whenever its number of events has changed")

    #: Events are queryable some minutes after they came in.
    availability_delay: ClassVar[timedelta] = timedelta(hours=1)

    @field_validator("host")
    @classmethod
    def _answers_queries(cls, value: str | None) -> str | None:
        # The hosts that take events answer no queries.
        return value and re.sub(r"^(https?://)(us|eu)\.i\.posthog\.com$", r"\1\2.posthog.com", value)

    @field_validator("project_id", mode="before", json_schema_input_type=str | int | None)
    @classmethod
    def _is_number(cls, value: object) -> object:
        text = str(value).strip() if value is not None else ""
        if text and not text.isalnum():
            raise ValueError("must be the project's number, as in the address of its pages")
        return text or None

    @property
    def pool(self) -> str | None:
        """PostHog answers three queries of a project at once."""
        return "posthog_export"

    def secrets(self) -> tuple[str, ...]:
        key = self._key()
        return (key,) if key else ()

    def settled_at(self, day: date) -> datetime:
        return self.available_at(day) + timedelta(days=self.late_days)

    def fingerprint(self, day: date) -> str | None:
        """Return `revision`, with the number of the day's events where `count_events` is set."""
        revision = self.revision(day)
        if revision is None or not self.count_events:
            return revision
        ((count,),) = self._ask(self._api(), f"SELECT count() FROM events WHERE {self._condition(*_ends(day))}").rows
        return f"{revision} {count}"

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Write the day's events, a part for each page.

        Raises:
            ImportFileError: host, project or key is missing.
            SourceRefused: PostHog refuses: the key, the project, the condition.
            SourceUnavailable: it does not answer.
        """
        # A day that is not over is read again each time.
        position = self.position(self.fingerprint(day) or f"early {datetime.now(UTC).isoformat()}")
        if raw.is_complete(position):
            return
        raw.begin(position)
        place, number = self._resumed(raw, position, _ends(day)[0])
        for page in self._pages(self._api(), place, _ends(day)[1]):
            number += 1
            memory = orjson.dumps({"export": position, "from": page.begin, "to": page.end}).decode()
            with raw.part(_name(number), _FRAMING, f"{self.host} project {self.project_id} [{day}]", memory) as sink:
                with gzip.GzipFile(fileobj=sink, mode="wb", mtime=0, compresslevel=6) as file:
                    file.writelines(_line(row) for row in page.rows)
        raw.complete()

    @staticmethod
    def _resumed(raw: RawExport, position: str, place: Place) -> tuple[Place, int]:
        """Confirm the pages that are there already; returns where the next one begins, and their number."""
        number = 0
        while part := raw.found(_name(number + 1)):
            memory = orjson.loads(part.origin_fingerprint or "{}")
            if memory.get("export") != position or tuple(memory["from"]) != place:
                break
            if not raw.keep_if_current(part.name, part.origin_fingerprint):
                break
            place, number = tuple(memory["to"]), number + 1
        return place, number

    def _pages(self, api: Api, place: Place, end: Place) -> Iterator[_Page]:
        """Yield the pages from *place* to *end* that have rows.

        What a query may read is limited, and it reads all of its stretch of time to sort it. The stretch is the whole
        rest at first, and what two pages need from then on; it shrinks where PostHog says that it is too much.
        """
        limit, stretch = self.page_rows, _time(end) - _time(place)
        begin = place
        while place < end:
            until = min((_text(_time(place) + stretch),), end)
            try:
                answer = self._ask(api, self._page_query(place, until, limit))
            except TooMuch:
                if stretch > _SHORTEST:
                    stretch = max(stretch / 8, _SHORTEST)
                elif limit > _FEWEST:
                    limit = max(limit // 4, _FEWEST)
                else:
                    raise
                continue
            rows = sorted(answer.rows, key=_place_of)
            before, place = place, until if answer.is_all else _place_of(rows[-1])
            if answer.is_all:
                stretch = min(stretch * 4, _LONGEST)
            elif len(rows) >= (answer.limit or limit):
                stretch = max((_time(place) - _time(before)) * 2, _SHORTEST)
            if rows:
                yield _Page(begin, place, _without_superseded(rows))
                begin = place

    def _page_query(self, place: Place, until: Place, limit: int) -> str:
        return (
            "SELECT toString(uuid) AS id, event, distinct_id, toString(toTimeZone(timestamp, 'UTC')) AS at, "
            "properties, elements_chain, toString(toTimeZone(created_at, 'UTC')) AS arrived FROM events "
            f"WHERE {self._condition(place, until)} "
            f"ORDER BY timestamp, id, event, distinct_id, arrived DESC LIMIT {limit}"
        )

    def _condition(self, place: Place, until: Place) -> str:
        conditions = [f"timestamp >= {_instant(place[0])}", f"timestamp < {_instant(until[0])}"]
        if len(place) > 1:
            at, uuid, event, distinct_id = _instant(place[0]), *map(_quoted, place[1:])
            conditions.append(
                f"(timestamp > {at} OR id > {uuid} OR (id = {uuid} AND (event > {event} OR (event = {event} "
                f"AND distinct_id > {distinct_id}))))"
            )
        if self.events:
            conditions.append(f"event IN ({', '.join(map(_quoted, self.events))})")
        if self.where:
            conditions.append(f"({self.where})")
        return " AND ".join(conditions)

    def _ask(self, api: Api, hogql: str) -> Answer:
        # Never from PostHog's cache of an earlier look.
        question = {"query": {"kind": "HogQLQuery", "query": hogql}, "refresh": "force_blocking", "name": "export"}

        path = f"/api/projects/{self.project_id}/query/"
        try:
            body = api.persist(lambda: api.read("POST", path, _ANSWER_BYTES, json=question, too_much=_TOO_MUCH))
        except SourceRefused as error:
            if _TOO_MUCH_WORDS.search(str(error)):
                raise TooMuch(str(error)) from error
            if re.search("HTTP 40[134]", str(error)):
                raise SourceRefused(f"{error} (the key needs the scope query:read, and the project)") from error
            raise
        try:
            return read_answer(body)
        except ValueError:
            raise SourceUnavailable(
                f"{self.host} answered a query without results: {shorten(repr(body[:200]))}"
            ) from None

    def _api(self) -> Api:
        key = self._key()
        if not self.host or not self.project_id or not key:
            raise ImportFileError(
                "source posthog needs host, project_id and personal_api_key (phx_…, scope query:read): set them, or "
                "the environment variables the import file names"
            )
        if not key.isascii() or not key.isprintable() or key.startswith("phc_"):
            raise ImportFileError("source.personal_api_key must be a personal key (phx_…), not the project's (phc_…)")
        headers = {"Authorization": f"Bearer {key}"}
        return Api(self.host, headers, (key,), limits=_LIMITS, timeout_seconds=120)

    def _key(self) -> str:
        return self.personal_api_key.get_secret_value().strip() if self.personal_api_key else ""

    def position(self, fingerprint: str) -> str:
        """Return a digest of *fingerprint* and the settings that say which events are a day's."""
        what = [fingerprint, self.host, self.project_id, sorted(self.events), self.where]
        return hashlib.sha256(repr(what).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Page:
    begin: Place
    end: Place
    rows: list[list[Any]]


def _without_superseded(rows: list[list[Any]]) -> list[list[Any]]:
    """Return the rows without older versions of the same event that PostHog has not merged yet; the newest is first."""
    return [row for before, row in zip([None, *rows], rows, strict=False) if not before or before[:4] != row[:4]]


def _place_of(row: list[Any]) -> Place:
    uuid, event, distinct_id, at = row[:4]
    return at, uuid, event, distinct_id


def _line(row: list[Any]) -> bytes:
    uuid, event, distinct_id, at, properties, elements_chain, arrived = row
    record = {
        "uuid": uuid, "event": event, "distinct_id": distinct_id, "timestamp": f"{at.replace(' ', 'T')}Z",
        "properties": properties, "elements_chain": elements_chain, "created_at": f"{arrived.replace(' ', 'T')}Z",
    }  # fmt: skip
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _name(number: int) -> str:
    return f"page-{number:05d}.jsonl.gz"


def _ends(day: date) -> tuple[Place, Place]:
    start = datetime.combine(day, time(), UTC)
    return (_text(start),), (_text(start + timedelta(days=1)),)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def _time(place: Place) -> datetime:
    return datetime.fromisoformat(place[0]).replace(tzinfo=UTC)


def _instant(text: str) -> str:
    return f"toDateTime64({_quoted(text)}, 6, 'UTC')"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
