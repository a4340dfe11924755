"""What a source of history is.

Belongs here: the base class of sources. Does not belong here: any particular system.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, auto
from typing import ClassVar, Self

from pydantic import PrivateAttr

from posthog_assets.core.errors import NoExport
from posthog_assets.core.sections import Section
from posthog_assets.sources.manifest import RawExport


@dataclass(frozen=True, slots=True)
class DayFingerprint:
    """What a look at one day found: its fingerprint (None: no export yet) and when it last changed, where known."""

    day: date
    fingerprint: str | None
    changed_at: datetime | None = None


class ZoneStrength(Enum):
    """How much a source's zone says of the times that its records have without one."""

    #: Its days are of that zone; the times may be of any.
    HINT = auto()
    #: They are in it, unless the dialect says otherwise of its own column.
    DEFAULT = auto()
    #: They are in it: the days were cut in this zone.
    FACT = auto()


@dataclass(frozen=True, slots=True)
class NaiveTimes:
    """What the settings of a source say of times without a zone: *setting* is its name, *zone* None if it is absent."""

    setting: str
    zone: str | None
    claim: ZoneStrength


@dataclass(frozen=True, slots=True)
class Scope:
    """What a source is to know of its import: its days, and how the dialect reads the column *time_column*."""

    start: date
    end: date | None
    time_column: str | None = None
    format: str | None = None
    unit: str | None = None

    def form_of(self, column: str | None) -> tuple[str | None, str | None]:
        """Return the pattern and the unit by which the dialect reads *column*; None where it reads another one."""
        return (self.format, self.unit) if column == self.time_column else (None, None)


class Source(Section, ABC):
    """How bytes are fetched, one day at a time.

    A source of your own is a subclass in your own module, named in the import file as `type: my_package.MySource`; its
    fields are the settings. `export` writes what the vendor delivers as parts of *raw* and then completes it; parts
    that an interrupted or an earlier export left, and that have not changed since, need not be fetched again:

        class Minio(Source):
            type: str = "minio"
            bucket: str

            def fingerprint(self, day):
                return etag_of(self.bucket, day)

            def export(self, day, raw, first_day):
                etag = self.fingerprint(day)
                if raw.is_complete(etag):
                    return
                raw.begin(etag)
                name = f"{day}.jsonl.gz"
                if not raw.keep_if_current(name, etag):
                    with raw.part(name, detect(name), f"s3://{self.bucket}/{name}", etag) as file:
                        download(self.bucket, name, file)
                raw.complete()
    """

    type: str = "custom"

    #: How long after the end of a day (UTC) the vendor's data of it is complete.
    availability_delay: ClassVar[timedelta] = timedelta(0)

    #: Days after that in which the vendor still adds late events; see `revision`.
    look_back_days: ClassVar[int] = 0

    _scope: Scope | None = PrivateAttr(None)

    @abstractmethod
    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Fetch *day* of the source's own clock into *raw*; *first_day* is the import's first day.

        Raises:
            NoExport: the source has nothing for this day, and that is not normal.
            SourceUnavailable: the source did not answer.
        """

    def fetch_sample(self, day: date, raw: RawExport) -> None:
        """Fetch *day* into *raw* as `export` does, beginning with as little as can be asked for.

        It is for a look at some records: *raw* ends it from within as soon as there are some.
        """
        self.export(day, raw, day)

    @abstractmethod
    def fingerprint(self, day: date) -> str | None:
        """Return a text that changes when the source's *day* changes; None where there is no export yet.

        It is asked often (by sensors): look at sizes, times or etags, and fetch nothing. Where the vendor offers
        nothing to look at, `revision` is the answer.
        """

    def position(self, fingerprint: str) -> str:
        """Return what `export` pins a day under that looks like *fingerprint*.

        The fingerprint itself, unless the day also depends on settings that it does not show. By it a sensor knows a
        day that was imported before it began to look.
        """
        return fingerprint

    def fingerprints(self, days: Iterable[date]) -> Iterator[DayFingerprint]:
        """Yield what there is of each of *days*, in their order; stopped by the caller when it has seen enough.

        A source that can see many days at a glance overrides this, and `lists`.

        Raises:
            SourceUnavailable: the source did not answer.
        """
        for day in days:
            yield DayFingerprint(day, self.fingerprint(day))

    @property
    def lists(self) -> bool:
        """Whether `fingerprints` of many days is one look that shows which days there are."""
        return False

    def reach(self, first: date, last: date) -> date | None:
        """Return the last day from *first* to *last* of which there is something, where one quick look tells.

        The day before *first* where there is nothing at all; None where that is unknown without fetching.

        Raises:
            SourceError: the source could not be looked at.
        """
        return None

    def split_files(self, day: date) -> frozenset[str]:
        """Return which folders of `raw_export/.split` are of use still: those of the files that hold all days.

        Raises:
            SourceError: it cannot be known now.
        """
        return frozenset()

    @property
    def pool(self) -> str | None:
        """Name of the Dagster pool that limits how many exports run at once; None: as many as there are runs."""
        return None

    def available_at(self, day: date) -> datetime:
        """Return when the data of *day* is complete, by the vendor's own rule."""
        return datetime.combine(day + timedelta(days=1), time(), UTC) + self.availability_delay

    def settled_at(self, day: date) -> datetime:
        """Return when *day* gets no more late events."""
        return self.available_at(day) + timedelta(days=self.look_back_days)

    def revision(self, day: date) -> str | None:
        """Return a fingerprint that changes when late events have come in, for a vendor that does not say.

        `complete`, and `settled` after `look_back_days`: the day is exported when it is complete and once more when it
        gets no more late events. None before it is complete. Give it to `RawExport.begin` and `is_complete` too, so
        that the second export fetches again.
        """
        now = datetime.now(UTC)
        if now < self.available_at(day):
            return None
        return "settled" if now >= self.settled_at(day) else "complete"

    def final_after(self, hours: float) -> Self:
        """Return this source with `available_after_hours` set to *hours*, unless the import file sets it."""
        setting = "available_after_hours"
        if not hours or setting not in type(self).model_fields or setting in self.model_fields_set:
            return self
        return self.model_copy(update={setting: hours})

    def within(self, scope: Scope) -> Self:
        """Return this source for an import of *scope*; itself, where it makes no difference."""
        if not self.holds_all_days:
            return self
        other = self.model_copy()
        other._scope = scope
        return other

    @property
    def holds_all_days(self) -> bool:
        """Whether the source reads more records than a day's to find these, and accounts for all of them."""
        return False

    @property
    def last_day(self) -> date | None:
        """The last day of the import that this source is for; None while it has none, or is not known."""
        return self._scope.end if self._scope else None

    def refuse_early(self, day: date) -> None:
        """Raise NoExport while the data of *day* is not complete, by a setting that says when it is."""
        if self.availability_delay and datetime.now(UTC) < (at := self.available_at(day)):
            raise NoExport(
                f"the data of {day} is complete at {at:%Y-%m-%d %H:%M} UTC: materialize it then. What changes until "
                "then would be in PostHog as it was and as it became (source.available_after_hours says how long that "
                "is; 0: export at once)"
            )

    def naive_times(self, column: str | None) -> NaiveTimes | None:
        """Return what the settings say of times without a zone in *column* of the records; None: nothing.

        *column* is the one the dialect reads; None where that is no setting of it.
        """
        return None

    def secrets(self) -> tuple[str, ...]:
        """Return the credentials among the settings; they are cut out of every message."""
        return ()
