"""Mixpanel's raw event export, one project day at a time.

Belongs here: what Mixpanel's export endpoint wants, and how a whole delivery differs from one that was cut off. Does
not belong here: HTTP as such (`api`), profiles (`profiles`), or what records mean (`dialects.mixpanel`).

Reference: docs.mixpanel.com/reference/raw-event-export. Both dates are inclusive; a day is asked for with both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson
from pydantic import Field, SecretStr, field_validator, model_validator

from posthog_assets.core.errors import ImportFileError, NoExport, SourceRefused, SourceUnavailable, shorten
from posthog_assets.core.sections import TimeZone
from posthog_assets.sources.base import NaiveTimes, Source, ZoneStrength
from posthog_assets.sources.formats import Compression, Format, Framing, is_whole_object, last_line, load
from posthog_assets.sources.http.answer import Answer, Stopped
from posthog_assets.sources.http.api import Api, TooMuch, basic
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.rates import Limit

#: docs.mixpanel.com/reference/rate-limits; 100 requests at once are more than a pool has runs.
LIMITS: Final = (Limit(60, 3600.0), Limit(3, 1.0))

_HOSTS: Final = {"us": "https://data.mixpanel.com", "eu": "https://data-eu.mixpanel.com",
                 "in": "https://data-in.mixpanel.com"}  # fmt: skip

_PATH: Final = "/api/2.0/export"

#: Ways of saying that this is too much at once; 400 has other reasons too, which a smaller request shows.
_TOO_MUCH: Final = frozenset({400, 413})
#: It may pass, so it counts only where less can be asked for; so does no answer at all.
_TIMED_OUT: Final = frozenset({504})


class Mixpanel(Source):
    """A Mixpanel project."""

    type: str = "mixpanel"
    project_id: str = Field(pattern=r"^\d+$", description="Number of the project")
    region: Literal["us", "eu", "in"] = Field("us", description="Where the project's data is")
    service_account: str | None = Field(None, description="User name of a service account with access to the project")
    service_account_secret: SecretStr | None = Field(None, description="The secret of the service account")
    project_secret: SecretStr | None = Field(None, description="Instead of a service account, until 2027-03-03")
    timezone: TimeZone = Field(
        "UTC", description="The project's, where it was made before 2023: its days are local ones. Later ones have UTC"
    )
    events: list[str] = Field(default_factory=list, description="Names of the events to export; absent: all")
    where: str | None = Field(None, description="Expression that events must fulfil, in Mixpanel's own language")
    late_days: int = Field(
        5,
        ge=0,
        alias="look_back_days",
        description="Days after which a day is exported once more: mobile SDKs send events that late",
    )
    host: str | None = Field(None, description="Replaces Mixpanel's, for a proxy")
    timeout_seconds: float = Field(300, gt=0, description="Longest wait for the next bytes")
    retry_seconds: float = Field(900, ge=0, description="How long failures of one request may go on")

    #: Mixpanel needs about three quarters of an hour until what it received is exported.
    availability_delay: ClassVar[timedelta] = timedelta(hours=1)

    @field_validator("project_id", mode="before", json_schema_input_type=str | int | None)
    @classmethod
    def _is_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    @field_validator("host")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("must be a URL that starts with https:// or http://")
        return value.rstrip("/") if value else None

    @model_validator(mode="after")
    def _has_one_key(self) -> Mixpanel:
        if self.project_secret and (self.service_account or self.service_account_secret):
            raise ValueError("either service_account and service_account_secret, or project_secret; not both")
        return self

    @property
    def export_host(self) -> str:
        return self.host or _HOSTS[self.region]

    @property
    def look_back_days(self) -> int:  # type: ignore[override]
        return self.late_days

    @property
    def pool(self) -> str:
        return f"mixpanel_{self.project_id}"

    def available_at(self, day: date) -> datetime:
        """Return when the project's own *day* is over, and Mixpanel has had time to take it in."""
        midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(self.timezone))
        return midnight.astimezone(UTC) + self.availability_delay

    def naive_times(self, column: str | None) -> NaiveTimes:
        """Return the project's zone: its days and its `time` are in it, whether it is set or UTC."""
        return NaiveTimes("timezone", self.timezone, ZoneStrength.FACT)

    def secrets(self) -> tuple[str, ...]:
        found = (self.service_account_secret, self.project_secret)
        return tuple(secret.get_secret_value() for secret in found if secret and secret.get_secret_value())

    def fingerprint(self, day: date) -> str | None:
        """Return what `revision` says, and a digest of what is asked for; None before the day is complete."""
        revision = self.revision(day)
        asked = orjson.dumps([self.project_id, self.region, self.host, sorted(set(self.events)), self.where])
        return f"{revision}-{hashlib.sha256(asked).hexdigest()[:16]}" if revision else None

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Pin the day as Mixpanel delivers it: one part, or one for each group of events where it is too large."""
        position = self.fingerprint(day)
        if position is None:
            raise NoExport(
                f"Mixpanel's {day} ({self.timezone}) is complete at {self.available_at(day):%Y-%m-%d %H:%M} UTC: "
                "materialize it then"
            )
        if raw.is_complete(position):
            return
        raw.begin(position)
        self._fetch(self.api(self.export_host), day, raw, position, sorted(set(self.events)))
        raw.complete()

    def api(self, host: str) -> Api:
        """Return the client of this account at *host*; raises ImportFileError where credentials are missing."""
        if self.project_secret:
            headers = basic(self.project_secret.get_secret_value(), "")
        elif self.service_account and self.service_account_secret:
            headers = basic(self.service_account, self.service_account_secret.get_secret_value())
        else:
            raise ImportFileError(
                "source.service_account and source.service_account_secret are empty: make a service account in "
                "Mixpanel's organization settings, and give it access to the project"
            )
        return Api(host, headers, self.secrets(), LIMITS, self.timeout_seconds, self.retry_seconds)

    def _fetch(self, api: Api, day: date, raw: RawExport, position: str, events: list[str]) -> None:
        """Fetch the *events* of a day (none: all), in halves where they are too many for one request."""
        name = _part_name(day, events, whole=events == sorted(set(self.events)))
        if any(raw.keep_if_current(name + suffix, position) for suffix in (".gz", "")):
            return
        # An interrupted export that had to split need not find out again.
        if not any(_is_there(raw, _part_name(day, inner, whole=False), position) for inner in _inner(events)):
            try:
                api.persist(lambda: self._fetch_part(api, day, raw, position, events, name))
                return
            except TooMuch as error:
                if len(events) < 2:
                    raise SourceRefused(f"{error}. {_too_large(day, events)}") from error
            except SourceUnavailable as error:
                raise SourceUnavailable(f"{error}. {_too_large(day, events)}") from error
        for half in _halves(events):
            self._fetch(api, day, raw, position, half)

    def _fetch_part(self, api: Api, day: date, raw: RawExport, position: str, events: list[str], name: str) -> None:
        fields: dict[str, Any] = {"from_date": day, "to_date": day, "time_in_ms": "true", "project_id": self.project_id}
        if events:
            fields["event"] = orjson.dumps(events).decode()
        if self.where:
            fields["where"] = self.where
        many = len(events) > 1
        too_much = _TOO_MUCH | _TIMED_OUT if many else _TOO_MUCH
        with api.request("GET", _PATH, fields=fields, too_much=too_much, too_slow=many) as answer:
            if answer is not None and answer.start:
                self._pin(answer, raw, name, position, f"{api.base}{_PATH} [{day}]")

    @staticmethod
    def _pin(answer: Answer, raw: RawExport, name: str, position: str, origin: str) -> None:
        framing = Framing(Format.JSONL, answer.compression)
        suffix = ".gz" if answer.compression is Compression.GZIP else ""
        with raw.part(name + suffix, framing, origin, position) as sink:
            answer.copy(sink)
            sink.flush()
            with Path(sink.name).open("rb") as file:
                check_end(last_line(file, framing, origin), origin)


def _halves(events: list[str]) -> tuple[list[str], list[str]]:
    half = len(events) // 2
    return events[:half], events[half:]


def _inner(events: list[str]) -> Iterator[list[str]]:
    """Yield the groups of names that halving this again and again would give."""
    for half in _halves(events) if len(events) > 1 else ():
        yield half
        yield from _inner(half)


def _is_there(raw: RawExport, name: str, position: str) -> bool:
    found = (raw.found(name + suffix) for suffix in (".gz", ""))
    return any(part is not None and part.origin_fingerprint == position for part in found)


def _too_large(day: date, events: list[str]) -> str:
    cure = "narrow source.where" if events else "name the events to export in source.events, to get them in portions"
    return f"If {day} is too much for Mixpanel at once, {cure}, or let it export to a bucket and read that"


def check_end(line: bytes, origin: str) -> None:
    """Look whether *line*, the last of a delivery, is a whole record.

    Mixpanel ends with "export terminated early", an object with an error, or half a record, where it could not go on:
    the status was sent long before.

    Raises:
        Stopped: it is not.
    """
    if not line:
        return
    # Half a record shows by its open brackets: what else is wrong with a record rejects it alone.
    whole = is_whole_object(line.strip())
    if whole:
        try:
            record = load(line)
        except orjson.JSONDecodeError:
            return
        whole = "error" not in record or "event" in record
    if not whole:
        raise Stopped(f"{origin} ends early, with {shorten(line[-160:].decode('utf-8', 'replace'))!r}")


def _part_name(day: date, events: list[str], *, whole: bool) -> str:
    if whole:
        return f"{day}.jsonl"
    return f"{day}-{hashlib.sha256(orjson.dumps(events)).hexdigest()[:12]}.jsonl"
