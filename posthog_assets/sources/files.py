"""Files, on a disk or on anything fsspec reaches: one per day, or one for all days.

Belongs here: finding files, and pinning them as parts. Does not belong here: reading records (`formats`), splitting one
file into days (`split`).
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from typing import IO, Any, Literal

import fsspec
from pydantic import Field, field_validator, model_validator

from posthog_assets.errors import ImportFileError, NoExport, SourceError, SourceUnavailable, shorten
from posthog_assets.formats import Compression, Format, Framing, detect
from posthog_assets.settings import Settings
from posthog_assets.sources.base import Source
from posthog_assets.sources.raw_export import RawExport
from posthog_assets.sources.split import DaySplit, split_by_day

_DAY = re.compile(r"\{day(?::([^}]*))?\}")
_PACKAGE = "python-package://"


class CsvOptions(Settings):
    """How a CSV file is written."""

    delimiter: str | None = Field(None, min_length=1, max_length=1)
    encoding: str = "utf-8"
    quote: str = Field('"', min_length=1, max_length=1)


@dataclass(frozen=True, slots=True)
class Found:
    """One file of the source; *fingerprint* changes when its content does (size, time, etag)."""

    url: str
    fingerprint: str


class Files(Source):
    """Files at *path*, a local path or fsspec URL with globs.

    `{day}` in the path is the partition's day (`{day:%Y/%m/%d}` for another form). Without it, `day_column` names the
    column that says the day, and the files hold all days.
    """

    type: str = "files"
    path: str = Field(description="Path or fsspec URL; {day}, {day:%Y-%m-%d} and globs are filled in")
    day_column: str | None = Field(None, description="Column that says the day, where files hold all days")
    format: Format | None = Field(None, description="Absent: told by the file's name")
    compression: Compression | None = Field(None, description="Absent: told by the file's name")
    csv: CsvOptions = Field(default_factory=lambda: CsvOptions.model_validate({}))
    storage_options: dict[str, Any] = Field(default_factory=dict, description="Passed to fsspec")
    missing: Literal["error", "empty"] = Field("error", description="What a day without a file is")

    @field_validator("path")
    @classmethod
    def _days_are_dates(cls, value: str) -> str:
        for match in _DAY.finditer(value):
            pattern = match.group(1)
            if pattern is not None and "%" not in pattern:
                raise ValueError(f"{match.group()} must hold a date pattern such as {{day:%Y-%m-%d}}")
        return value

    @model_validator(mode="after")
    def _knows_the_day(self) -> Files:
        if bool(_DAY.search(self.path)) == bool(self.day_column):
            raise ValueError(
                "either path holds {day} (one or more files a day), or day_column names the column that says the day "
                "(one or more files for all days)"
            )
        return self

    def fingerprint(self, day: date) -> str | None:
        """Return a digest over the day's files; None where there is none."""
        found = self.find(day)
        return _digest(found, self.day_column or "") if found else None

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Pin the day's files byte for byte, or its extract of the files that hold all days."""
        found = self.find(day)
        if not found and (self.day_column or self.missing == "error"):
            raise NoExport(self._nothing(day))
        position = _digest(found, self.day_column or "")
        if raw.is_complete(position):
            return
        raw.begin(position)
        names = self._extracts(day, raw, found, first_day) if self.day_column else self._copies(raw, found)
        raw.complete(names)

    def find(self, day: date) -> list[Found]:
        """Return the files of *day* in the order of their URLs.

        Raises:
            ImportFileError: the URL's protocol is unknown or its package is not installed.
            SourceUnavailable: the store did not answer.
        """
        url = self.url(day)
        with _answers(url):
            files, path = self._filesystem(url)
            names = sorted(files.glob(path)) if _is_glob(path) else [path] * files.exists(path)
            infos = [(name, files.info(name)) for name in names]
            return [
                Found(files.unstrip_protocol(name), _fingerprint(info))
                for name, info in infos
                if info.get("type", "file") == "file"
            ]

    def url(self, day: date) -> str:
        """Return the path with the day filled in."""
        return _DAY.sub(lambda match: day.strftime(match.group(1) or "%Y-%m-%d"), self.path)

    def framing(self, url: str) -> Framing:
        """Return how the file at *url* is to be read."""
        return detect(
            url.split("?")[0], self.format, self.compression,
            delimiter=self.csv.delimiter, encoding=self.csv.encoding, quote=self.csv.quote,
        )  # fmt: skip

    @contextmanager
    def open(self, url: str) -> Iterator[IO[bytes]]:
        """Open a found file for reading."""
        with _answers(url):
            files, path = self._filesystem(url)
            file = files.open(path, "rb")
        with file:
            yield file

    def _copies(self, raw: RawExport, found: list[Found]) -> list[str]:
        names = _part_names(found)
        for file, name in zip(found, names, strict=True):
            if raw.has(name, file.fingerprint):
                continue
            with raw.part(name, self.framing(file.url), file.url, file.fingerprint) as path:
                with self.open(file.url) as source, path.open("wb") as sink, _answers(file.url):
                    shutil.copyfileobj(source, sink, 4 << 20)
        return names

    def _extracts(self, day: date, raw: RawExport, found: list[Found], first_day: date) -> list[str]:
        names = []
        for file in found:
            with raw.store.shared_lock(f"split-{_digest([file], self.day_column or '')}"):
                split = self._split(raw, file, first_day)
            extract = split.extract(day)
            if extract is None:
                continue
            name = f"{_part_names([file])[0].split('.')[0]}.{day.isoformat()}{split.suffix}"
            names.append(name)
            if not raw.has(name, file.fingerprint):
                with raw.part(name, split.framing, f"{file.url} [{day}]", file.fingerprint) as path:
                    with extract as source, path.open("wb") as sink:
                        shutil.copyfileobj(source, sink, 1 << 20)
        return names

    def _split(self, raw: RawExport, file: Found, first_day: date) -> DaySplit:
        assert self.day_column is not None
        key = _digest([file], f"{self.day_column} {first_day}")
        split = DaySplit(raw.store, key)
        if not split.done:
            with self.open(file.url) as source, _answers(file.url):
                split_by_day(split, source, self.framing(file.url), file.url, self.day_column, first_day)
        return split

    def _filesystem(self, url: str) -> tuple[Any, str]:
        if url.startswith(_PACKAGE):
            return fsspec.filesystem("file"), _package_file(url)
        return fsspec.core.url_to_fs(url, **self.storage_options)

    def _nothing(self, day: date) -> str:
        return (
            f"there is no file at {self.url(day)}; export the day there, correct source.path, or set "
            "source.missing: empty if a day without a file is a day without events"
        )


def _package_file(url: str) -> str:
    """Return the file that `python-package://<distribution>/<path>` means, without importing the package."""
    distribution, _, path = url.removeprefix(_PACKAGE).partition("/")
    try:
        return str(metadata.distribution(distribution).locate_file(path))
    except metadata.PackageNotFoundError:
        raise ImportFileError(
            f"{url}: the package {distribution} is not installed (pip install {distribution})"
        ) from None


def _is_glob(path: str) -> bool:
    return any(sign in path for sign in "*?[")


def _fingerprint(info: dict[str, Any]) -> str:
    keys = ("size", "mtime", "ETag", "etag", "LastModified", "last_modified", "md5Hash", "generation")
    return " ".join(f"{key}={info[key]}" for key in keys if info.get(key) is not None)


def _digest(found: list[Found], extra: str) -> str:
    text = "\n".join(f"{file.url} {file.fingerprint}" for file in found) + f"\n{extra}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _part_names(found: list[Found]) -> list[str]:
    """Return part names that stay the same when other files appear: the base name, and the URL's digest if needed."""
    bases = [re.sub(r"[^A-Za-z0-9._-]", "_", file.url.split("?")[0].rstrip("/").rsplit("/", 1)[-1]) for file in found]
    return [
        f"{hashlib.sha256(file.url.encode()).hexdigest()[:8]}-{base}" for base, file in zip(bases, found, strict=True)
    ]


@contextmanager
def _answers(url: str) -> Iterator[None]:
    """Turn what file systems raise into our errors."""
    try:
        yield
    except (SourceError, ImportFileError):
        raise
    except FileNotFoundError as error:
        raise NoExport(f"there is no file at {url}") from error
    except PermissionError as error:
        raise SourceError(f"no permission to read {url}: {shorten(str(error))}") from error
    except (ValueError, ImportError) as error:
        raise ImportFileError(f"source.path {url!r} cannot be opened: {shorten(str(error))}") from error
    except (OSError, TimeoutError) as error:
        raise SourceUnavailable(f"{url} could not be read: {shorten(str(error))}") from error
