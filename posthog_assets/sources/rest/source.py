"""Any API as a source, described in the import file.

Belongs here: the settings of `source: {type: rest}`, and which days there are. Does not belong here: sending requests
(`client`), going through pages (`pages`), reading a whole API (`whole`).

The names are those of dlt's `rest_api` and of PostHog's Custom REST source.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import orjson
from pydantic import BeforeValidator, Field, model_validator

from posthog_assets.core.errors import NoExport
from posthog_assets.core.instants import Window
from posthog_assets.core.sections import Section, TimeZone
from posthog_assets.sources.account import WITHOUT_DAY, Account
from posthog_assets.sources.base import NaiveTimes, Source, ZoneStrength
from posthog_assets.sources.files.day_split import DaySplit
from posthog_assets.sources.files.record_days import Days
from posthog_assets.sources.manifest import RawExport
from posthog_assets.sources.rest.client import Client, RestClient
from posthog_assets.sources.rest.endpoint import Asking, Endpoint, ForEach
from posthog_assets.sources.rest.pages import Pages
from posthog_assets.sources.rest.paginators import PaginatorSettings
from posthog_assets.sources.rest.whole import Whole
from posthog_assets.sources.rest.windows import day_window, midnight
from posthog_assets.storage.rates import Limit


class RateLimit(Section):
    """At most `requests` in any stretch of `seconds`, over all processes of this machine."""

    requests: int = Field(ge=1, description="So many requests")
    seconds: float = Field(gt=0, description="in so many seconds")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict | RateLimit) else value


#: Settings that say how the API is asked, not what it is asked for: a change of them changes no day.
_MANNERS = frozenset({"rate", "timeout_seconds", "retry_seconds", "settle_minutes", "horizon_days", "late_days"})


class Rest(Source):
    """The records of one endpoint of an API, a day at a time."""

    type: str = "rest"
    client: Client = Field(description="The API: base_url, auth, headers, paginator")
    endpoint: Endpoint = Field(description="What is asked for, and how a day is")
    for_each: ForEach | None = Field(
        None, description="Members of another answer, for each of which the endpoint is asked"
    )
    order: Literal["newest_first", "oldest_first"] | None = Field(
        None,
        description="The order of the records, where the API cannot be asked for both ends of a day: reading stops",
    )
    whole: bool = Field(False, description="Read everything, and split it by day_column: for an API that knows no time")
    day_column: str | None = Field(None, min_length=1, description="With whole: where a record says its day, as in a.b")
    timezone: TimeZone = Field("UTC", description="Whose days they are; times of the API without a zone are in it")
    start_exclusive: bool = Field(False, description="The API leaves out what lies on the start it is asked for")
    end_inclusive: bool = Field(False, description="The API includes what lies on the end it is asked for")
    margin_minutes: float = Field(
        0, ge=0, description="Minutes asked for beyond either end, where the API's filter is not exact to the second"
    )
    outside: Literal["error", "skip"] = Field(
        "error", description="What a record outside the time that was asked for is; skip: its own day has it"
    )
    max_rows_per_window: int | None = Field(
        None, ge=1, description="Most records the API delivers of one query; the time is halved where there are as many"
    )
    horizon_days: int | None = Field(None, ge=1, description="Days the API keeps; older ones are refused")
    settle_minutes: float = Field(0, ge=0, description="Minutes after a day's end until the API has all of it")
    late_days: int = Field(
        0, ge=0, alias="look_back_days", description="Days after which a day is exported once more: records change"
    )
    rate: Annotated[tuple[RateLimit, ...], BeforeValidator(_as_list)] = Field(
        (), description="Most requests in a time; several limits hold together"
    )
    timeout_seconds: float = Field(60, gt=0, description="Longest wait for the next bytes")
    retry_seconds: float = Field(900, ge=0, description="How long failures of one request may go on")

    @model_validator(mode="after")
    def _knows_its_days(self) -> Self:
        endpoint = self.endpoint
        if self.whole:
            if not self.day_column or endpoint.incremental or self.order:
                raise ValueError(
                    "whole: true needs day_column, where a record says its day, and neither endpoint.incremental nor "
                    "order"
                )
        elif self.day_column:
            raise ValueError("day_column belongs to whole: true; else endpoint.incremental.cursor_path is the time")
        elif endpoint.incremental is None:
            raise ValueError(
                "needs endpoint.incremental, which says how the API is asked for a day, or whole: true and day_column"
            )
        elif missing := {"start", "end"} - endpoint.bounded_ends:
            self._can_stop(missing)
        return self

    def _can_stop(self, missing: set[str]) -> None:
        needed = {"newest_first"} if "start" in missing else {"oldest_first"}
        # Without an end, newest first passes over what is newer, and stops at what is older.
        allowed = needed | ({"newest_first"} if missing == {"end"} else set())
        if self.order not in allowed:
            names = " and ".join(f"incremental.{end}_param" for end in sorted(missing))
            raise ValueError(
                f"endpoint.{names} absent: the API cannot be asked for one day. Set order: "
                f"{' or '.join(sorted(allowed))} if it delivers in that order, or read with whole: true"
            )

    @model_validator(mode="after")
    def _knows_its_pages(self) -> Self:
        for name, asking in (("endpoint", self.endpoint), ("for_each", self.for_each)):
            if asking is None or (isinstance(asking, ForEach) and asking.values):
                continue
            paginator = asking.paginator or self.client.paginator
            if paginator is None:
                raise ValueError(
                    f"{name} has no paginator: set client.paginator or {name}.paginator, single_page if the API gives "
                    "everything with one answer"
                )
            if isinstance(asking, Endpoint) and paginator.needs_key and asking.primary_key is None:
                raise ValueError(
                    f"endpoint.primary_key is needed with {paginator.type}: a record that moves to the next page while "  # type: ignore[attr-defined]
                    "pages are read comes twice. Name what identifies a record, such as id; [] if nothing does"
                )
        return self

    @model_validator(mode="after")
    def _fills_its_placeholders(self) -> Self:
        each = self.for_each
        known = {"incremental.start_value", "incremental.end_value"} if self.endpoint.incremental else set()
        if each:
            known |= {each.name, *(f"{each.name}_{field}" for field in each.include)}
            if each.name not in self.endpoint.placeholders:
                raise ValueError(
                    f"for_each: {{{each.name}}} stands nowhere in endpoint.path, params or json: every one would get "
                    "the same answer"
                )
        if unknown := sorted(self.endpoint.placeholders - known):
            raise ValueError(f"{{{unknown[0]}}} in endpoint is unknown; known: {', '.join(sorted(known)) or 'none'}")
        return self

    # --- what `pages` reads by ------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return self.client.base_url

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def margin(self) -> timedelta:
        return timedelta(minutes=self.margin_minutes)

    def paginator_of(self, asking: Asking) -> PaginatorSettings:
        found = asking.paginator or self.client.paginator
        assert found is not None, "validated"
        return found

    # --- days -----------------------------------------------------------------------------------------------

    @property
    def holds_all_days(self) -> bool:
        """Answers bring records of other days along, which are left to these."""
        return True

    @property
    def look_back_days(self) -> int:  # type: ignore[override]
        return self.late_days

    @property
    def pool(self) -> str:
        """One pool per host: a backfill of years is not to open hundreds of connections."""
        host = urlsplit(self.client.base_url).hostname or ""
        return "rest_" + "".join(letter if letter.isalnum() else "_" for letter in host)

    def available_at(self, day: date) -> datetime:
        """Return the end of *day* in `timezone`, and `settle_minutes` after it."""
        return midnight(day + timedelta(days=1), self.zone) + timedelta(minutes=self.settle_minutes)

    def naive_times(self, column: str | None) -> NaiveTimes:
        zone = self.timezone if "timezone" in self.model_fields_set else None
        time_of_day = self.day_column or (self.endpoint.incremental and self.endpoint.incremental.cursor_path)
        is_of_day = column is not None and column == time_of_day
        return NaiveTimes("timezone", zone, ZoneStrength.FACT if is_of_day else ZoneStrength.DEFAULT)

    def secrets(self) -> tuple[str, ...]:
        return self.client.secrets()

    def split_files(self, day: date) -> frozenset[str]:
        return frozenset({self._digest()}) if self.whole else frozenset()

    def fingerprint(self, day: date) -> str | None:
        """Return what `revision` says, and a digest of what is asked for; None before the day is complete."""
        revision = self.revision(day)
        return f"{revision}-{self._digest()}" if revision else None

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Pin the day's pages; with `whole`, the day's records out of all pages.

        With *first_day* come those records of the whole that have no day.

        Raises:
            NoExport: the day is not complete yet, or older than what the API keeps.
            ImportFileError: credentials are missing.
            SourceRefused: the API refuses, or does not keep to what the import file says of it.
            SourceUnavailable: it does not answer.
        """
        self._refuse_unavailable(day)
        position = self.fingerprint(day)
        assert position is not None, "the day is complete"
        if raw.is_complete(position):
            return
        client = self._rest_client()
        if self.whole:
            split, whole = self._split(day, raw, client, first_day)
            raw.begin(position)
            for key in (day.isoformat(), *([WITHOUT_DAY] if day == first_day else [])):
                whole.pin(split, key, raw)
            raw.complete(account=Account.of_days(self._read_as(first_day), split.counts, first_day, self.last_day))
        else:
            raw.begin(position)
            pages = Pages(self, client, raw, position)
            pages.read(day_window(day, self.zone))
            raw.complete(account=pages.tally.account(self.zone))

    def fetch_sample(self, day: date, raw: RawExport) -> None:
        """As `export` does; with `whole`, the first pages instead of the day's records."""
        if not self.whole:
            super().fetch_sample(day, raw)
            return
        raw.begin("a look")
        Pages(self, self._rest_client(), raw, "a look").read(None)
        raw.complete()

    def _rest_client(self) -> RestClient:
        limits = tuple(Limit(rate.requests, rate.seconds) for rate in self.rate)
        return RestClient(self.client, limits, self.timeout_seconds, self.retry_seconds)

    def _split(self, day: date, raw: RawExport, client: RestClient, first_day: date) -> tuple[DaySplit, Whole]:
        now = datetime.now(UTC)
        needed = self.settled_at(day) if now >= self.settled_at(day) else self.available_at(day)
        days = Days(self.zone, *self._day_form, Window.of(first_day, now))
        whole = Whole(raw.store, self._digest(), self.day_column or "", days, self._read_as(first_day))
        split = whole.split(needed, now, lambda pages, key: Pages(self, client, pages, key).read(None))
        return split, whole

    @property
    def _day_form(self) -> tuple[str | None, str | None]:
        """The pattern and unit of `day_column`: the dialect's, where it reads the same column as the event's time."""
        return self._scope.form_of(self.day_column) if self._scope else (None, None)

    def _read_as(self, first_day: date) -> str:
        """Return a text that changes when records would be given to days by another rule."""
        return hashlib.sha256(repr([self.day_column, self._day_form, first_day.year]).encode()).hexdigest()[:8]

    def _refuse_unavailable(self, day: date) -> None:
        now = datetime.now(UTC)
        if now < (at := self.available_at(day)):
            raise NoExport(f"{day} ({self.timezone}) is complete at {at:%Y-%m-%d %H:%M} UTC: materialize it then")
        if self.horizon_days is not None:
            oldest = (now - timedelta(days=self.horizon_days)).astimezone(self.zone).date() + timedelta(days=1)
            if day < oldest:
                raise NoExport(
                    f"the API keeps {self.horizon_days} days (source.horizon_days): {day} is older than {oldest}, the "
                    "first day that it has whole, and would seem to be empty. Set start_date to a day it has"
                )

    def _digest(self) -> str:
        """Return a digest of the settings that say what is asked for; no credential is among them."""
        what = self.model_dump(mode="json", by_alias=True, exclude=set(_MANNERS) | {"type"}, exclude_defaults=True)
        what["client"].pop("auth", None)
        what["client"]["headers"] = {
            name: text for name, text in self.client.headers.items() if name not in self.client.secret_headers()
        }
        return hashlib.sha256(orjson.dumps(what, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
