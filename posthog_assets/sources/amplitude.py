"""Amplitude's Export API: one day of the server's upload clock (UTC), several hours at a time.

Belongs here: Amplitude's endpoints, and of which requests a day consists. Does not belong here: HTTP (`api`), or how
Amplitude's records read (`dialects.amplitude`). Rules: https://amplitude.com/docs/apis/analytics/export

| answer | consequence |
|---|---|
| 404 | nothing was uploaded in these hours |
| 400 (more than 4 GB), 504, no answer in `timeout_seconds`, more than `max_part_bytes` | asked again in halves |
| the same for a single hour | an error that names the way out: Amplitude's S3 export |
| 200 with anything but a readable zip | fetched again, then `BrokenPart`: never taken for an empty day |

The upload clock never goes back: what is uploaded later belongs to a later day, whatever time the event bears. So a day
is exported once, when it is complete, and needs no second look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from posthog_assets.core.errors import BrokenPart, ImportFileError, NoExport, SourceRefused, SourceUnavailable, shorten
from posthog_assets.sources.base import Source
from posthog_assets.sources.formats import Compression, Format, Framing
from posthog_assets.sources.http.answer import Answer, Stopped
from posthog_assets.sources.http.api import Api, TooMuch, basic
from posthog_assets.sources.manifest import RawExport

_HOSTS: Final = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}
_PATH: Final = "/api/2/export"

#: Amplitude keeps what was uploaded before this day by the day, not by the hour.
_HOURLY_SINCE: Final = date(2014, 11, 12)

#: A zip of JSON lines whose members are gzipped once more.
_FRAMING: Final = Framing(Format.JSONL, Compression.ZIP)
_EMPTY_ZIP: Final = b"PK\x05\x06"

_WAY_OUT: Final = (
    "Amplitude cannot deliver these hours through its Export API: let it export to S3 or another bucket "
    "(amplitude.com/docs/data/destination-catalog/amazon-s3) and import that with source.type: files"
)


@dataclass(frozen=True, slots=True)
class Hours:
    """Consecutive hours of one day, `first` and `last` included, as Amplitude counts them."""

    day: date
    first: int
    last: int

    @property
    def name(self) -> str:
        """Name of the part, `20240301T00-05.zip`."""
        return f"{self.day:%Y%m%d}T{self.first:02}-{self.last:02}.zip"

    @property
    def splits(self) -> bool:
        """Whether Amplitude can be asked for less at a time."""
        return self.first < self.last and self.day >= _HOURLY_SINCE

    def inner(self) -> Iterator[Hours]:
        """Yield the hours that halving this again and again would give."""
        for half in self.halves() if self.splits else ():
            yield half
            yield from half.inner()

    def halves(self) -> tuple[Hours, Hours]:
        middle = (self.first + self.last) // 2
        return Hours(self.day, self.first, middle), Hours(self.day, middle + 1, self.last)


class Amplitude(Source):
    """One Amplitude project. Days are days of `server_upload_time`, UTC; events of a day may bear older times."""

    type: Literal["amplitude"] = "amplitude"
    api_key: SecretStr | None = Field(None, description="The project's API key (Amplitude > Settings > Projects)")
    secret_key: SecretStr | None = Field(None, description="The project's secret key, beside the API key")
    region: Literal["us", "eu"] = Field("us", description="Where the project's data is kept")
    host: str | None = Field(None, description="Another host than the region's: a proxy")
    hours_per_request: Literal[24, 12, 6, 3, 1] = Field(
        6, description="Hours in one request and part; split in halves where Amplitude cannot deliver them at once"
    )
    max_part_bytes: int = Field(5_000_000_000, gt=0, description="No larger delivery is taken; Amplitude's limit: 4 GB")
    empty_archives: Literal["error", "empty"] = Field(
        "error", description="What a zip without members means; Amplitude says 404 where there is nothing"
    )
    timeout_seconds: float = Field(300, gt=0, description="Longest wait for an answer to begin, or to go on")
    retry_seconds: float = Field(900, ge=0, description="How long one request may keep failing before the run gives up")

    #: By Amplitude's word two hours at least: what came from 23:00 to 24:00 can be had at 02:00.
    availability_delay: ClassVar[timedelta] = timedelta(hours=3)

    @field_validator("host")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        parts = urlsplit((value or "").strip())
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must be a URL that starts with https:// or http://")
        return value.strip().rstrip("/") if value else None

    @property
    def pool(self) -> str:
        return "amplitude_export"

    def secrets(self) -> tuple[str, ...]:
        keys = (self.secret_key, self.api_key)
        return tuple(found for key in keys if key and (found := key.get_secret_value().strip()))

    def fingerprint(self, day: date) -> str | None:
        """Return a text that differs between projects and where they are asked for, once the day is complete."""
        revision = self.revision(day)
        return revision and f"{revision} {self._project()}"

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Pin what Amplitude's servers took on *day*, one zip for every `hours_per_request` that hold anything."""
        position = self.fingerprint(day)
        if position is None:
            at = f"{self.available_at(day):%Y-%m-%d %H:%M} UTC"
            raise NoExport(f"Amplitude's export of {day} is complete at {at}: materialize it after that")
        if raw.is_complete(position) or self._is_kept(raw, day, position):
            return
        api = self.api()
        raw.begin(position)
        step = self.hours_per_request if day >= _HOURLY_SINCE else 24
        for first in range(0, 24, step):
            self._pin(api, raw, Hours(day, first, first + step - 1))
        raw.complete()

    def fetch_sample(self, day: date, raw: RawExport) -> None:
        self.model_copy(update={"hours_per_request": 1}).export(day, raw, day)

    def _is_kept(self, raw: RawExport, day: date, position: str) -> bool:
        """Pin at *position* a day that was pinned from this host before hosts were noted; False where it was not.

        An empty one may be another host's.
        """
        if not raw.is_complete(f"{self.revision(day)} {_digest(self._key())}"):
            return False
        parts = raw.parts()
        if not parts or not all(part.origin.startswith(f"{self._host()}{_PATH}?") for part in parts):
            return False
        raw.begin(position)
        for part in parts:
            raw.keep_if_current(part.name, part.origin_fingerprint)
        raw.complete()
        return True

    def _pin(self, api: Api, raw: RawExport, hours: Hours) -> None:
        if raw.keep_if_current(hours.name, self._project()):
            return
        # An interrupted export that had to split need not find out again.
        if raw.names.isdisjoint(inner.name for inner in hours.inner()):
            try:
                api.persist(lambda: self._fetch(api, raw, hours))
                return
            except (TooMuch, Stopped):
                if not hours.splits:
                    raise
        for half in hours.halves():
            self._pin(api, raw, half)

    def _fetch(self, api: Api, raw: RawExport, hours: Hours) -> None:
        fields = {"start": f"{hours.day:%Y%m%d}T{hours.first:02}", "end": f"{hours.day:%Y%m%d}T{hours.last:02}"}
        what = f"{api.base}{_PATH}?start={fields['start']}&end={fields['end']}"
        # A gateway that ran out of time may pass; where less can be asked for, that is the better answer.
        too_much = frozenset({400, 413, 504} if hours.splits else {400, 413})
        try:
            with api.request(
                "GET", _PATH, fields=fields, nothing=frozenset({404}), too_much=too_much, too_slow=hours.splits
            ) as answer:
                if answer is not None and self._holds_something(answer, what):
                    self._keep(answer, raw, hours, what)
        except SourceRefused as error:
            raise SourceRefused(
                f"{error}; check source.api_key and source.secret_key (Amplitude > Settings > Projects) and that "
                f"source.region is where the project's data is kept (now: {self.region})"
            ) from error
        except Stopped:
            raise
        except TooMuch as error:
            if hours.splits:
                raise
            raise SourceRefused(f"{error}. {_WAY_OUT}") from error
        except SourceUnavailable as error:
            raise SourceUnavailable(f"{error}. If it is these hours only: {_WAY_OUT}") from error

    def _holds_something(self, answer: Answer, what: str) -> bool:
        if answer.start[:4] == _EMPTY_ZIP and self.empty_archives == "empty":
            return False
        if answer.start[:4] == _EMPTY_ZIP:
            raise BrokenPart(
                f"{what}: Amplitude sent a zip with nothing in it, where it says 404 if there is nothing; if the hours "
                "are empty indeed, set source.empty_archives: empty"
            )
        if answer.compression is not Compression.ZIP:
            found = f"begins with {shorten(repr(answer.start[:40]))}" if answer.start else "is empty"
            raise BrokenPart(f"{what}: the answer is no zip but {found}")
        return True

    def _keep(self, answer: Answer, raw: RawExport, hours: Hours, what: str) -> None:
        with raw.part(hours.name, _FRAMING, what, self._project()) as sink:
            try:
                answer.copy(sink, self.max_part_bytes)
            except SourceRefused as error:
                raise TooMuch(f"{what}: {error} (source.max_part_bytes)") from error

    def _project(self) -> str:
        """Return a digest of what is asked for: the project, and the host unless it is the usual one.

        A host that knows nothing of the project says 404, as for a day without uploads.
        """
        key, host = self._key(), self._host()
        return _digest(key if host == _HOSTS["us"] else f"{key} {host}")

    def _key(self) -> str:
        return self.api_key.get_secret_value().strip() if self.api_key else ""

    def _host(self) -> str:
        return self.host or _HOSTS[self.region]

    def api(self) -> Api:
        if len(self.secrets()) < 2:
            raise ImportFileError(
                "source.api_key and source.secret_key are both needed: Amplitude > Settings > Projects (or set the "
                "environment variables the import file names)"
            )
        secret, key = self.secrets()
        return Api(
            self._host(), basic(key, secret), (secret, key),
            timeout_seconds=self.timeout_seconds, retry_seconds=self.retry_seconds,
        )  # fmt: skip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
