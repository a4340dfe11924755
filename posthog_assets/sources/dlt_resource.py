"""Any dlt resource as a source, without a pipeline.

Belongs here: calling a function that makes a resource of one day, and writing down its rows. Does not belong here: an
API that is described in the import file (`rest`), or what rows mean (`dialects`).

The resource is iterated in this process: no pipeline, no destination, no state of dlt's. What is pinned are dlt's rows
as JSON lines, not the bytes of the vendor, whom dlt asked. dlt cannot go on in the middle of a resource, so an
interrupted day begins again.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import IO, Any, Final, Literal
from zoneinfo import ZoneInfo

import orjson
import zstandard
from pydantic import Field, field_validator

from posthog_assets.core.errors import ImportFileError, NoExport, PosthogAssetsError, SourceUnavailable, shorten
from posthog_assets.core.json_text import dump_line
from posthog_assets.core.secrets import hidden_text
from posthog_assets.core.sections import Section, TimeZone, secrets_in
from posthog_assets.sources.base import NaiveTimes, Source, ZoneStrength
from posthog_assets.sources.formats import Compression, Format, Framing
from posthog_assets.sources.manifest import RawExport
from posthog_assets.sources.rest.windows import day_window, midnight

_FRAMING: Final = Framing(Format.JSONL, Compression.ZSTD)
_PART: Final = "rows.jsonl.zst"
_NEEDS_DLT: Final = "needs the extra posthog_assets[dlt]: pip install 'posthog_assets[dlt]'"


class DayArguments(Section):
    """The names of the function's parameters that get the ends of the day, and what they get."""

    start: str = Field("start", min_length=1, description="Parameter for the start of the day (included)")
    end: str | None = Field("end", description="Parameter for its end (excluded); null where it has none")
    as_: Literal["datetime", "iso8601", "date", "epoch_seconds"] = Field(
        "datetime", alias="as", description="What they get: a datetime with its zone, a text, a date, or a number"
    )


class Dlt(Source):
    """The rows of a dlt resource, one day at a time."""

    type: str = "dlt"
    resource: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="package.module:function, which returns a resource"
    )
    day: DayArguments = Field(
        default_factory=lambda: DayArguments.model_validate({}), description="How the function is given the day"
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="Further arguments of the function", repr=False)
    timezone: TimeZone = Field("UTC", description="Whose days they are")
    settle_minutes: float = Field(0, ge=0, description="Minutes after a day's end until its data is complete")
    late_days: int = Field(
        0, ge=0, alias="look_back_days", description="Days after which a day is exported once more: records change"
    )

    @field_validator("resource")
    @classmethod
    def _has_dlt(cls, value: str) -> str:
        if importlib.util.find_spec("dlt") is None:
            raise ValueError(_NEEDS_DLT)
        return value

    @property
    def look_back_days(self) -> int:  # type: ignore[override]
        return self.late_days

    @property
    def pool(self) -> str:
        return "dlt_" + "".join(letter if letter.isalnum() else "_" for letter in self.resource)

    def secrets(self) -> tuple[str, ...]:
        return tuple(secrets_in(self.arguments))

    def available_at(self, day: date) -> datetime:
        """Return the end of *day* in `timezone`, and `settle_minutes` after it."""
        return midnight(day + timedelta(days=1), ZoneInfo(self.timezone)) + timedelta(minutes=self.settle_minutes)

    def naive_times(self, column: str | None) -> NaiveTimes:
        zone = self.timezone if "timezone" in self.model_fields_set else None
        return NaiveTimes("timezone", zone, ZoneStrength.DEFAULT)

    def fingerprint(self, day: date) -> str | None:
        """Return what `revision` says, and a digest of what is asked for; None before the day is complete."""
        revision = self.revision(day)
        known = {key: value for key, value in self.arguments.items() if not secrets_in({key: value})}
        what = [self.resource, self.day.model_dump(), known, self.timezone]
        digest = hashlib.sha256(orjson.dumps(what, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()[:16]
        return f"{revision}-{digest}" if revision else None

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Write the day's rows as one part.

        Raises:
            NoExport: the day is not complete yet.
            ImportFileError: there is no such function, or it does not take these arguments.
            SourceUnavailable: the resource failed; its own error is the cause.
        """
        position = self.fingerprint(day)
        if position is None:
            raise NoExport(
                f"{day} ({self.timezone}) is complete at {self.available_at(day):%Y-%m-%d %H:%M} UTC: materialize it "
                "then"
            )
        if raw.is_complete(position):
            return
        raw.begin(position)
        if not raw.keep_if_current(_PART, position, _FRAMING):
            rows = self._rows(day)
            if (first := next(rows, None)) is not None:
                with raw.part(_PART, _FRAMING, f"dlt {self.resource} [{day}]", position) as sink:
                    _write(sink, first, rows)
        raw.complete()

    def _rows(self, day: date) -> Iterator[bytes]:
        """Yield the rows as JSON lines, some at a time."""
        # A person who imports events did not ask to be counted by dlt.
        os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
        try:
            for item in self._called(day):
                yield b"".join(map(_line, _items(item)))
        except PosthogAssetsError:
            raise
        except Exception as error:
            cause = error.__cause__ or error
            words = shorten(" ".join(str(cause).split()) or type(cause).__name__, 400)
            words = hidden_text(words, *self.secrets())
            raise SourceUnavailable(f"dlt resource {self.resource} failed: {type(cause).__name__}: {words}") from error

    def _called(self, day: date) -> Any:
        """Return what the function makes of a day: anything that can be iterated."""
        function = _function(self.resource)
        start, end = self._ends(day)
        arguments = self.arguments | {self.day.start: start} | ({self.day.end: end} if self.day.end else {})
        try:
            made = function(**arguments)
        except TypeError as error:
            raise ImportFileError(
                f"source.resource {self.resource} does not take these arguments ({', '.join(arguments)}): {error}. "
                "Name its parameters in source.day and source.arguments"
            ) from error
        if isinstance(made, dict | str | bytes) or not hasattr(made, "__iter__"):
            raise ImportFileError(
                f"source.resource {self.resource} returns {type(made).__name__}, where a dlt resource belongs"
            )
        return made

    def _ends(self, day: date) -> tuple[Any, Any]:
        zone = ZoneInfo(self.timezone)
        window = day_window(day, zone)
        ends = window.start.astimezone(zone), window.end.astimezone(zone)
        match self.day.as_:
            case "iso8601":
                return ends[0].isoformat(), ends[1].isoformat()
            case "date":
                return ends[0].date(), ends[1].date()
            case "epoch_seconds":
                return int(ends[0].timestamp()), int(ends[1].timestamp())
        return ends


def _function(path: str) -> Callable[..., Any]:
    module_name, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ImportFileError(f"source.resource {path} cannot be imported: {error}") from error
    if not callable(found):
        raise ImportFileError(f"source.resource {path} is no function: it is {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _items(item: Any) -> list[Any]:
    """Return the rows of what a resource yields: one, a list of them, or an Arrow table or batch."""
    if hasattr(item, "to_pylist"):
        return item.to_pylist()  # type: ignore[no-any-return]
    return item if isinstance(item, list) else [item]


def _line(row: Any) -> bytes:
    return dump_line(row, _plain)


def _plain(value: Any) -> Any:
    """Return what JSON has for a value it does not have: decimals stay exact as text, times are ISO 8601 in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _write(sink: IO[bytes], first: bytes, rows: Iterator[bytes]) -> None:
    with zstandard.ZstdCompressor(level=3).stream_writer(sink, closefd=False) as packed:
        packed.write(first)
        for row in rows:
            packed.write(row)
