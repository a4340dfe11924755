"""Files at a path, on a disk or on anything fsspec reaches.

Belongs here: finding and opening files, and what is said when that fails. Does not belong here: what files mean.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Final, cast

import fsspec
from fsspec.core import url_to_fs
from fsspec.utils import get_protocol, glob_translate

from posthog_assets.core.errors import (
    ImportFileError,
    NoExport,
    PosthogAssetsError,
    SourceError,
    SourceUnavailable,
    shorten,
)
from posthog_assets.core.http import parse_retry_after

_PACKAGE: Final = "python-package://"

#: What pip installs for paths of a protocol, and how a clone of the repository has it in a `uv run`.
_S3: Final = ("'posthog_assets[s3]'", "--extra s3")
_HTTP: Final = ("aiohttp requests", "--with aiohttp --with requests")
_GOOGLE: Final = ("gcsfs", "--with gcsfs")
_AZURE: Final = ("adlfs", "--with adlfs")
_PACKAGES: Final = {
    "s3": _S3, "s3a": _S3, "http": _HTTP, "https": _HTTP, "gs": _GOOGLE, "gcs": _GOOGLE, "az": _AZURE, "abfs": _AZURE,
    "abfss": _AZURE, "adl": _AZURE,
}  # fmt: skip

#: What stores call the things that change when a file does.
_SIGNS: Final = (
    "size", "mtime", "ETag", "etag", "LastModified", "last_modified", "Last-Modified", "updated", "md5Hash",
    "Content-MD5", "generation", "sha",
)  # fmt: skip

#: Left behind by operating systems and by Spark; never an export, whatever the glob says.
_LITTER: Final = re.compile(r"\..*|_SUCCESS|_started_.*|_committed_.*|Thumbs\.db|desktop\.ini")

#: Stores that list a whole tree in a few answers. Over HTTP there is nothing to list.
_LISTING: Final = (
    "file",
    "local",
    "memory",
    "s3",
    "s3a",
    "gs",
    "gcs",
    "abfs",
    "abfss",
    "az",
    "adl",
    "oss",
    "oci",
    "r2",
)

_NEAREST_WITHIN: Final = ("file", "local", "memory")


@dataclass(frozen=True, slots=True)
class Found:
    """One file: `path` on its file system, `url` as people may see it, `fingerprint` that changes when it does.

    `changed_at` is when that was, where the store says.
    """

    # In an address it may have a signature.
    path: str = field(repr=False)
    url: str
    fingerprint: str
    size: int | None
    changed_at: datetime | None = None

    @property
    def id(self) -> str:
        """Eight letters that stand for the path, whatever the file's content; a package's is the same everywhere."""
        path = self.url if self.url.startswith(_PACKAGE) else self.path
        return hashlib.sha256(path.encode()).hexdigest()[:8]


class Location:
    """The files at *url*: a path, an fsspec URL, or `python-package://<distribution>/<path>`; with globs."""

    def __init__(self, url: str, options: dict[str, Any], secrets: tuple[str, ...] = ()) -> None:
        self._url = url
        self._options = options
        self._secrets = secrets

    @property
    def shown(self) -> str:
        """The URL without anything secret: no password, no query."""
        return self._safe(self._url)

    def find(self) -> list[Found]:
        """Return the files, in the order of their paths.

        Raises:
            ImportFileError: the protocol is unknown, its package is not installed, or the path is a folder.
            SourceError: no permission.
            SourceUnavailable: the store did not answer.
        """
        if self._url.startswith(_PACKAGE):
            return self._find_in_package()
        try:
            with self._answers():
                infos = self._infos()
        except NoExport:
            return []
        return [self._found(path, info) for path, info in sorted(infos.items())]

    @property
    def lists(self) -> bool:
        """Whether one listing shows what lies around this location."""
        # A chain of file systems, `simplecache::s3://…`, has none of these as its protocol.
        return get_protocol(self._url) in _LISTING

    def listing(self, around: str, urls: list[str]) -> list[list[Found]]:
        """Return for each of *urls* what `find` would, from one listing of *around*, a glob that holds them all.

        Raises:
            as `find` does.
        """
        try:
            with self._answers():
                infos = self._around(around)
        except NoExport:
            infos = {}
        files = self._files[0]
        matcher = Matcher([files._strip_protocol(url) for url in urls])
        found: list[list[Found]] = [[] for _ in urls]
        for path, info in sorted(infos.items()):
            for index in matcher.find(path):
                found[index].append(self._found(path, info))
        return found

    def _around(self, around: str) -> dict[str, dict[str, Any]]:
        files, pattern = url_to_fs(around, **self._options)
        files.invalidate_cache()
        if set(_protocols(files)) & {"file", "local"}:
            infos = files.glob(pattern, detail=True)
        else:
            # A glob of an object store asks once per folder, of which there is one a day.
            fixed = re.split(r"[*?[]", pattern, maxsplit=1)[0]
            infos = files.find(fixed.rpartition("/")[0], detail=True)
        return {path: info for path, info in infos.items() if self._is_export(path, info)}

    def _is_export(self, path: str, info: dict[str, Any]) -> bool:
        return info.get("type") != "directory" and not _LITTER.fullmatch(path.rsplit("/", 1)[-1])

    @contextmanager
    def open(self, found: Found) -> Iterator[IO[bytes]]:
        """Open a found file for reading; raises like `find`, and NoExport where it is gone."""
        with self._answers():
            file = self._files[0].open(found.path, "rb")
        with file:
            yield cast(IO[bytes], _Opened(file, self._answers))

    def copy(self, found: Found, sink: IO[bytes]) -> None:
        """Copy a found file, byte for byte.

        Raises:
            SourceUnavailable: the store failed, or the file changed meanwhile.
        """
        copied = 0
        with self.open(found) as source:
            while block := source.read(4 << 20):
                copied += len(block)
                sink.write(block)
        if found.size is not None and copied != found.size:
            raise SourceUnavailable(
                f"{found.url} changed while it was copied: {copied:,} bytes arrived of {found.size:,}; run again"
            )

    def nearest(self, pattern: str) -> list[str]:
        """Return the file before and the one after this one, of those at *pattern*, where looking is cheap."""
        try:
            files, path = url_to_fs(pattern, **self._options)
            if not set(_protocols(files)) & set(_NEAREST_WITHIN):
                return []
            there = sorted(name for name in files.glob(path) if files.isfile(name))
        except Exception:
            return []
        at = bisect(there, self._files[1])
        return [self._safe(name) for name in there[max(at - 1, 0) : at + 1]]

    @cached_property
    def _files(self) -> tuple[Any, str]:
        """The file system and the path on it."""
        if self._url.startswith(_PACKAGE):
            return fsspec.filesystem("file"), ""
        return url_to_fs(self._url, **self._options)

    def _infos(self) -> dict[str, dict[str, Any]]:
        files, path = self._files
        # Listings are cached for the life of the process; a sensor lives for months.
        files.invalidate_cache()
        if not self._is_glob(files, path):
            info = files.info(path)
            if info.get("type") == "directory":
                raise ImportFileError(f"source.path {self.shown} is a folder; name the files in it: /*.jsonl.gz")
            return {path: info}
        found = files.glob(path, detail=True)
        return {
            name: info if info.get("size") is not None else files.info(name)
            for name, info in found.items()
            if self._is_export(name, info)
        }

    def _is_glob(self, files: Any, path: str) -> bool:
        # In a web address the question mark begins the query.
        signs = "*[" if {"http", "https"} & set(_protocols(files)) else "*?["
        return any(sign in path for sign in signs)

    def _found(self, path: str, info: dict[str, Any]) -> Found:
        signs = [f"{key}={info[key]}" for key in _SIGNS if info.get(key) is not None]
        if len(signs) < 2 and info.get("created") is not None:
            # Some stores say it in one way when asked for a file, and in another in a listing.
            created = info["created"]
            signs.append(f"created={created.timestamp() if isinstance(created, datetime) else created}")
        url = self._safe(self._files[0].unstrip_protocol(path))
        return Found(path, url, " ".join(signs), info.get("size"), _changed_at(info))

    def _find_in_package(self) -> list[Found]:
        """Find a file of an installed distribution without importing it: known by version, wherever it is installed."""
        name, _, inside = self._url.removeprefix(_PACKAGE).partition("/")
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise ImportFileError(
                f"source.path {self._url}: the package {name} is not installed: pip install {name}"
            ) from None
        path = Path(str(distribution.locate_file(inside)))
        if not path.is_file():
            return []
        size = path.stat().st_size
        return [Found(str(path), self._url, f"version={distribution.version} size={size}", size)]

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Turn what file systems raise into our errors; each store has exceptions of its own."""
        try:
            yield
        except PosthogAssetsError:
            raise
        except Exception as error:
            # What file systems say holds addresses with their signatures.
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> PosthogAssetsError:
        # fsspec's HTTP says "not found" whatever went wrong, and keeps what did as the cause.
        cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
        status = getattr(cause, "status", None)
        words = self._safe(shorten(str(cause) or type(cause).__name__))
        if isinstance(cause, FileNotFoundError) or status in (404, 410):
            return NoExport(f"there is no file at {self.shown}")
        if isinstance(cause, PermissionError) or status in (401, 403) or "credential" in type(cause).__name__.lower():
            return SourceError(f"no permission to read {self.shown}: {words}")
        if isinstance(cause, ImportError):
            return ImportFileError(
                f"source.path {self.shown} needs another package ({installation_of(self._url)}): {words}"
            )
        if isinstance(cause, ValueError):
            return ImportFileError(f"source.path {self.shown} cannot be opened: {words}")
        headers = getattr(cause, "headers", None) or {}
        asked = parse_retry_after(headers.get("Retry-After"), datetime.now(UTC)) if status in (429, 503) else None
        return SourceUnavailable(f"{self.shown} could not be reached: {words}", retry_after=asked)

    def _safe(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = re.sub(r"(\w://)[^/@\s]*:[^/@\s]*@", r"\1***@", text)
        return re.sub(r"(https?://[^\s?#]+)\?[^\s)\"']*", r"\1?***", text)


class _Opened:
    """An open file whose `read` raises our errors."""

    def __init__(self, file: Any, answers: Callable[[], AbstractContextManager[None]]) -> None:
        self._file = file
        self._answers = answers

    def read(self, size: int = -1) -> bytes:
        with self._answers():
            return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Matcher:
    """Says which of many globs that differ only in a day match a path, without trying each of them."""

    def __init__(self, globs: list[str]) -> None:
        #: What is different begins where the first and ends where the last difference is.
        self._start = len(_common(globs))
        end = len(_common([glob[self._start :][::-1] for glob in globs]))
        self._globs = globs
        self._regexes: dict[int, re.Pattern[str]] = {}
        self._by_text: dict[str, list[int]] = {}
        for index, glob in enumerate(globs):
            # With a glob inside, the text up to it is what can be looked up.
            text = re.split(r"[*?[]", glob[self._start : len(glob) - end], maxsplit=1)[0]
            self._by_text.setdefault(text, []).append(index)
        self._lengths = {len(text) for text in self._by_text}

    def find(self, path: str) -> list[int]:
        """Return the numbers of the globs that match *path*."""
        texts = {path[at : at + length] for length in self._lengths for at in range(len(path) - length + 1)}
        candidates = {index for text in texts for index in self._by_text.get(text, ())}
        return [index for index in sorted(candidates) if self._regex(index).fullmatch(path)]

    def _regex(self, index: int) -> re.Pattern[str]:
        if index not in self._regexes:
            self._regexes[index] = re.compile(glob_translate(self._globs[index]))
        return self._regexes[index]


def _common(texts: list[str]) -> str:
    """Return the beginning that all *texts* have in common."""
    first, last = min(texts), max(texts)
    at = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    return first[: min(len(first), len(last)) if at is None else at]


def _changed_at(info: dict[str, Any]) -> datetime | None:
    """Return when a file changed, from what stores say in seconds, as a datetime, or as ISO 8601 text."""
    for key in ("mtime", "LastModified", "last_modified", "updated"):
        value = info.get(key)
        try:
            if isinstance(value, int | float):
                return datetime.fromtimestamp(value, UTC)
            if isinstance(value, str):
                value = datetime.fromisoformat(value)
        except (ValueError, OverflowError, OSError):
            continue
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
    return None


def installation_of(url: str) -> str:
    """Return how the package is installed that serves a URL, or a link of a chain of them."""
    protocols = [link if link.isalnum() else get_protocol(link) for link in url.split("::")]
    found = next((_PACKAGES[name] for name in protocols if name in _PACKAGES), None)
    return f"pip install {found[0]}, or in a clone: uv run {found[1]} …" if found else "pip install …"


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)
