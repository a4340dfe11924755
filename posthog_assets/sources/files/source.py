"""Files, on a disk or on anything fsspec reaches: one or more a day, or one or more for all days.

Belongs here: which files are a day's, and pinning them as parts. Does not belong here: reaching files (`locations`),
reading records (`formats`), splitting one file into days (`day_split`).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from posthog_assets.core.errors import ImportFileError, NoExport
from posthog_assets.core.instants import Window
from posthog_assets.core.sections import TimeZone, secrets_in
from posthog_assets.core.timestamps import pattern_flaw
from posthog_assets.sources.account import WITHOUT_DAY, Account
from posthog_assets.sources.base import DayFingerprint, NaiveTimes, Source, ZoneStrength
from posthog_assets.sources.files.csv_options import CsvOptions
from posthog_assets.sources.files.day_paths import glob_nearby, glob_of_days, names_day, path_flaw, path_of_day
from posthog_assets.sources.files.day_split import DaySplit, Extract
from posthog_assets.sources.files.locations import Found, Location
from posthog_assets.sources.files.part_names import base_name, extract_name, part_name
from posthog_assets.sources.files.record_days import Days
from posthog_assets.sources.formats import Compression, Format, Framing, detect
from posthog_assets.sources.formats.avro import NEEDS_FASTAVRO, is_installed
from posthog_assets.sources.manifest import RawExport

#: Goes up when the same value names another day.
_SPLIT_RULES: Final = 2

_PASSWORD: Final = re.compile(r"\w://[^/@\s:]*:([^/@\s]+)@")


class Files(Source):
    """Files at *path*, a local path or fsspec URL with globs.

    `{day}` in the path is the partition's day (`{day:%Y/%m/%d}` for another form). Without it, `day_column` names the
    column that says the day, and the files hold all days.
    """

    type: str = "files"
    path: str = Field(
        min_length=1,
        description="Path, fsspec URL or python-package://<distribution>/<file>; {day}, {day:%Y/%m/%d} (%s: seconds "
        "since 1970, {day:%s000} as Segment's folders are named) and globs are filled in; hidden files (.x, _SUCCESS) "
        "never match",
    )
    day_column: str | None = Field(None, min_length=1, description="Column that says the day, as in a.b; for all days")
    day_format: str | None = Field(
        None, description="strptime pattern of day_column; absent: as the dialect reads that column"
    )
    day_timezone: TimeZone = Field(
        "UTC", description="Whose days they are; times in day_column without a zone are in it"
    )
    format: Format | None = Field(None, description="Absent: by the file's name")
    compression: Compression | None = Field(None, description="Absent: by the file's name")
    csv: CsvOptions = Field(
        default_factory=lambda: CsvOptions.model_validate({}),
        description="How CSV is written, where it is not as usual",
    )
    unfold: str | None = Field(
        None, min_length=1, description="A list in each record, each member of which is a record with the rest beside"
    )
    storage_options: dict[str, Any] = Field(default_factory=dict, description="Passed to fsspec", repr=False)
    missing: Literal["error", "empty"] = Field("error", description="What a day without a file is")
    available_after_hours: float = Field(
        0, ge=0, description="Hours after a day's end until its data is complete; absent: what the dialect says"
    )

    @field_validator("day_format")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None and (flaw := pattern_flaw(value)):
            raise ValueError(f"is no strptime pattern: {flaw}")
        return value

    @field_validator("path")
    @classmethod
    def _days_are_dates(cls, value: str) -> str:
        if flaw := path_flaw(value):
            raise ValueError(flaw)
        return value

    @model_validator(mode="after")
    def _knows_the_day(self) -> Files:
        if self.holds_days == bool(self.day_column):
            raise ValueError(
                "either path holds {day} (one or more files a day), or day_column names the column that says the day "
                "(one or more files for all days)"
            )
        return self

    @model_validator(mode="after")
    def _has_a_day_to_format(self) -> Files:
        if self.day_format and not self.day_column:
            raise ValueError("day_format is of day_column, which is not set")
        return self

    @model_validator(mode="after")
    def _has_what_reads_it(self) -> Files:
        is_avro = ".avro" in self.path.rsplit("/", 1)[-1].lower() if self.format is None else self.format is Format.AVRO
        if is_avro and not is_installed():
            raise ValueError(NEEDS_FASTAVRO)
        return self

    @property
    def holds_days(self) -> bool:
        """Whether the path names the day, so that each file holds one."""
        return names_day(self.path)

    def secrets(self) -> tuple[str, ...]:
        """Return the credentials in `storage_options` and the password in `path`."""
        return tuple(dict.fromkeys([*secrets_in(self.storage_options), *_PASSWORD.findall(self.path)]))

    def fingerprint(self, day: date) -> str | None:
        """Return a digest over names, sizes, times and etags of the day's files; None where there is none."""
        found = self.find(day)
        return self._position(found) if found else None

    def fingerprints(self, days: Iterable[date]) -> Iterator[DayFingerprint]:
        """Yield what there is of each day: from one listing where the store can list, else file by file."""
        days = list(days)
        if self.day_column and days:
            # The same files hold all days.
            found = self.find(days[0])
            yield from (self._sighting(day, found) for day in days)
        elif self.lists and days:
            listing = self.location(days[0]).listing(glob_of_days(self.path), [self.url(day) for day in days])
            yield from (self._sighting(day, found) for day, found in zip(days, listing, strict=True))
        else:
            yield from (self._sighting(day, self.find(day)) for day in days)

    @property
    def holds_all_days(self) -> bool:
        return bool(self.day_column)

    def split_files(self, day: date) -> frozenset[str]:
        return frozenset(file.id for file in self.find(day)) if self.day_column else frozenset()

    @property
    def lists(self) -> bool:
        return not self.day_column and self.location(date(2000, 1, 1)).lists

    def reach(self, first: date, last: date) -> date | None:
        """Return the last day that has a file, from one listing; None of files that hold all days."""
        if not self.lists:
            return None
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        there = [seen.day for seen in self.fingerprints(days) if seen.fingerprint]
        return max(there, default=first - timedelta(days=1))

    @property
    def availability_delay(self) -> timedelta:  # type: ignore[override]
        return timedelta(hours=self.available_after_hours)

    def available_at(self, day: date) -> datetime:
        """Return the end of *day* in the zone whose days these are, and `available_after_hours` after it."""
        zone = UTC if self.day_timezone == "UTC" else ZoneInfo(self.day_timezone)
        end = datetime.combine(day + timedelta(days=1), time(), zone)
        return max(end.astimezone(UTC) + self.availability_delay, super().available_at(day))

    def naive_times(self, column: str | None) -> NaiveTimes:
        zone = self.day_timezone if "day_timezone" in self.model_fields_set else None
        is_of_day = column is not None and column == self.day_column
        return NaiveTimes("day_timezone", zone, ZoneStrength.FACT if is_of_day else ZoneStrength.HINT)

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Pin the day's files byte for byte, or its extract of the files that hold all days.

        Records whose day cannot be read are pinned with *first_day*.
        """
        self.refuse_early(day)
        location = self.location(day)
        found = location.find()
        if not found and (self.day_column or self.missing == "error"):
            raise NoExport(self._nothing(day, location))
        position = self._position(found)
        # An export of an earlier release may have given the records to other days, and did not count them.
        counted = not self.day_column or (raw.account and raw.account.read_as == self._read_as(found, first_day))
        if counted and raw.is_complete(position):
            return
        raw.begin(position)
        if self.day_column:
            raw.complete(account=self._pin_extracts(day, raw, location, found, first_day))
            return
        for file in found:
            self._pin_copy(raw, location, file)
        raw.complete()

    def find(self, day: date) -> list[Found]:
        """Return the day's files, in the order of their paths; raises like `Location.find`."""
        return self.location(day).find()

    def url(self, day: date) -> str:
        """Return the path with the day filled in."""
        return path_of_day(self.path, day)

    def location(self, day: date) -> Location:
        """Return where the day's files are."""
        return Location(self.url(day), self.storage_options, self.secrets())

    def framing(self, file: Found) -> Framing:
        """Return how a found file is to be read; raises ImportFileError."""
        return replace(detect(base_name(file), self.format, self.compression, **self.csv.framing), unfold=self.unfold)

    def _pin_copy(self, raw: RawExport, location: Location, file: Found) -> None:
        name, framing = part_name(file), self.framing(file)
        if raw.keep_if_current(name, file.fingerprint, framing):
            return
        with raw.part(name, framing, file.url, file.fingerprint) as sink:
            location.copy(file, sink)

    def _pin_extracts(
        self, day: date, raw: RawExport, location: Location, found: list[Found], first_day: date
    ) -> Account:
        """Pin the day's extract of each file, and return where the records of all days went.

        Raises:
            ImportFileError: no record of any file lies in the import's days.
        """
        counts: Counter[str] = Counter()
        for file in found:
            split = self._split(raw, location, file, first_day)
            counts.update(split.counts)
            for key in (day.isoformat(), *([WITHOUT_DAY] if day == first_day else [])):
                for extract in split.extracts(key):
                    self._pin_extract(raw, split, extract, file, key)
        return self._account(counts, found, first_day)

    def _account(self, counts: Counter[str], found: list[Found], first_day: date) -> Account:
        account = Account.of_days(self._read_as(found, first_day), counts, first_day, self.last_day)
        if account.outside and not account.in_days:
            raise ImportFileError(
                f"source.day_column {self.day_column!r}: none of the {account.records:,} records lies in the import's "
                f"days, {first_day} to {self.last_day or 'today'}: {account.outside:,} are of "
                f"{account.first_outside} to {account.last_outside}"
                + (f", {account.without_day:,} have no day" if account.without_day else "")
                + ". Correct start_date and end_date, or how the column is read (source.day_format)"
            )
        return account

    def _pin_extract(self, raw: RawExport, split: DaySplit, extract: Extract, file: Found, key: str) -> None:
        label = key or "without-day"
        kind = f".{extract.kind}" if extract.kind else ""
        name = extract_name(file, label + kind, split.suffix(extract))
        framing = replace(split.framing(extract), unfold=self.unfold)
        if raw.keep_if_current(name, extract.digest, framing):
            return
        origin = f"{file.url} [{label}]"
        with raw.part(name, framing, origin, extract.digest, without_day=key == WITHOUT_DAY) as sink:
            split.copy(extract, sink)

    def _split(self, raw: RawExport, location: Location, file: Found, first_day: date) -> DaySplit:
        """Return the file's extracts, made now unless somebody has made them already."""
        assert self.day_column is not None
        split = DaySplit(raw.store, file.id, self._split_key(file, first_day))
        if not split.load():
            with raw.store.shared_lock(f"split-{file.id}"):
                if not split.load():
                    with location.open(file) as source:
                        framing = replace(self.framing(file), unfold=None)
                        split.write(source, framing, file.url, self.day_column, self._days(first_day))
        return split

    def _split_key(self, file: Found, first_day: date) -> str:
        """Return a text that changes when the file does, or when its records would be given to other days."""
        framing = replace(self.framing(file), unfold=None)
        how = [self.day_column, self.day_timezone, *self._day_form, first_day.year, _SPLIT_RULES]
        return _digest([file.fingerprint, *how, framing, *framing.columns])

    def _read_as(self, found: list[Found], first_day: date) -> str:
        return _digest([self._split_key(file, first_day) for file in found])

    @property
    def _day_form(self) -> tuple[str | None, str | None]:
        """The pattern and unit of `day_column`: the dialect's, where it reads the same column as the event's time."""
        if self.day_format or not self._scope:
            return self.day_format, None
        return self._scope.form_of(self.day_column)

    def _days(self, first_day: date) -> Days:
        zone = UTC if self.day_timezone == "UTC" else ZoneInfo(self.day_timezone)
        return Days(zone, *self._day_form, Window.of(first_day, datetime.now(UTC)))

    def _position(self, found: list[Found]) -> str:
        how: list[Any] = [self.day_column, self.day_timezone, self.format, self.compression, self.csv]
        if self.unfold:
            how.append(self.unfold)
        if self.csv.columns:
            how.append(self.csv.columns)
        if self.day_format:
            how.append(self.day_format)
        return _digest([*[f"{file.id} {file.fingerprint}" for file in found], how])

    def _sighting(self, day: date, found: list[Found]) -> DayFingerprint:
        times = [file.changed_at for file in found if file.changed_at]
        return DayFingerprint(day, self._position(found) if found else None, max(times, default=None))

    def _nothing(self, day: date, location: Location) -> str:
        words = f"there is no file at {location.shown}"
        pattern = glob_nearby(self.path)
        if nearest := location.nearest(pattern) if pattern != self.path else []:
            words += f" (nearest: {', '.join(nearest)})"
        if bracket := re.search(r"\[[^\]]*\]", self.path):
            literal = bracket.group().replace("[", "[[]", 1)
            words += f"; {bracket.group()} in it is a pattern, any one of its letters: as a name it is {literal}"
        if self.day_column:
            return f"{words}; correct source.path"
        return (
            f"{words}; export {day} there, correct source.path, or set source.missing: empty if a day without a file "
            "is a day without events"
        )


def _digest(content: list[Any]) -> str:
    return hashlib.sha256("\n".join(map(str, content)).encode()).hexdigest()[:32]
