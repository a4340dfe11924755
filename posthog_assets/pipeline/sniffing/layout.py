"""Telling from the paths of files which day each holds, and writing the path that finds them all.

Belongs here: paths. Does not belong here: the days that the records themselves name (`draft`).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from fsspec.core import url_to_fs

from posthog_assets.core.errors import ImportFileError, NoExport
from posthog_assets.sources.files.locations import Found, Location
from posthog_assets.sources.formats import SUFFIXES

#: How paths name days: pattern, and the form of `{day:…}`. The more particular ones come first.
_FORMS: Final = (
    (re.compile(r"year=(\d{4})/month=(\d{2})/day=(\d{2})"), "year=%Y/month=%m/day=%d", "ymd"),
    (re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)"), "%Y-%m-%d", "ymd"),
    (re.compile(r"(?<!\d)(\d{4})/(\d{2})/(\d{2})(?!\d)"), "%Y/%m/%d", "ymd"),
    (re.compile(r"(?<!\d)(\d{4})_(\d{2})_(\d{2})(?!\d)"), "%Y_%m_%d", "ymd"),
    (re.compile(r"(?<!\d)(\d{4})\.(\d{2})\.(\d{2})(?!\d)"), "%Y.%m.%d", "ymd"),
    (re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(?!\d)"), "%Y%m%d", "ymd"),
    (re.compile(r"(?<!\d)(\d{2})-(\d{2})-(\d{4})(?!\d)"), "%m-%d-%Y", "mdy"),
    (re.compile(r"(?<!\d)(\d{2})-(\d{2})-(\d{4})(?!\d)"), "%d-%m-%Y", "dmy"),
    # Midnight in epoch milliseconds, as Segment names its folders.
    (re.compile(r"(?<=/)(\d{8,10})000(?=/)"), "%s000", "s"),
)

_GLOB: Final = re.compile(r"[*?\[]")
_EARLIEST: Final = date(1995, 1, 1)

#: Files beside an export that are none.
_NO_EXPORT: Final = re.compile(r"(readme|license|licence|changelog|manifest|schema|checksum|md5|sha256)[^/]*", re.I)
_KNOWN: Final = tuple(f".{suffix}" for suffix in SUFFIXES)


@dataclass(frozen=True)
class Layout:
    """The files of an export: `path` finds them, `days` are those their paths name, in order (none: they name none).

    `left_out` are files that were there and are no part of it.
    """

    path: str
    files: tuple[Found, ...]
    days: tuple[date, ...]
    left_out: tuple[str, ...] = ()
    #: The path as it stands, where one file was named.
    only: str | None = None
    #: The day that the path of each of `files` names.
    file_days: tuple[date, ...] = ()

    @property
    def names_days(self) -> bool:
        return bool(self.days)

    @property
    def other_exports(self) -> list[str]:
        """The files of another kind that an export could be in, too."""
        return [path for path in self.left_out if _kind(path) and not _NO_EXPORT.fullmatch(path.rsplit("/", 1)[-1])]

    def day_of(self, file: Found) -> date:
        """Return the day that the path of one of the files names."""
        return self.file_days[self.files.index(file)]


def find_layout(where: str, options: dict[str, Any]) -> Layout:
    """Return the files at *where*: a file, a folder, a glob, or a path with `{day}`; local or any fsspec URL.

    Raises:
        NoExport: there is no file.
        SourceError, ImportFileError: as `Location.find` raises them.
    """
    base = where if "://" in where else os.path.abspath(os.path.expanduser(where))  # noqa: PTH100, PTH111
    # What is there by this very name is meant, whatever signs the name has.
    is_literal = "://" not in base and Path(base).exists()
    pattern = _escaped(base) if is_literal else re.sub(r"\{day(:[^}]*)?\}", "*", base)
    if pattern != base and not is_literal:
        pattern = re.sub(r"[*]{2,}", "*", pattern)
    is_folder = Path(base).is_dir() if is_literal else _is_folder(pattern, options)
    pattern = f"{pattern.rstrip('/')}/**" if is_folder else pattern
    found = Location(pattern, options).find()
    chosen, left_out = _exports(found)
    if not chosen:
        raise NoExport(
            f"there is no file at {Location(base, options).shown}; name a file, a folder of files, or a glob"
        )
    prefix = _prefix(base, chosen)
    paths = [prefix + file.path.lstrip("/") for file in chosen]
    is_file = len(paths) == 1 and not is_folder and (is_literal or not _GLOB.search(base))
    given = base if pattern == base and not is_literal else None
    path, days = _path_of(paths, given, base if is_folder else None)
    only = _escaped(paths[0]) if is_file else None
    return Layout(path, tuple(chosen), tuple(sorted(set(days))), tuple(left_out), only, days)


def whole_path(layout: Layout) -> str:
    """Return a path that finds the same files, without a day in it."""
    if layout.only:
        return layout.only
    path = re.sub(r"\{day(:[^}]*)?\}", _stars, layout.path)
    return re.sub(r"(?<![*])[*](?:[-_#:~+ ]*[*](?![*]))+", "*", path)


def _stars(match: re.Match[str]) -> str:
    return "/".join("*" for _ in (match.group(1) or "").split("/"))


def _is_folder(path: str, options: dict[str, Any]) -> bool:
    if _GLOB.search(path) or path.startswith("python-package://"):
        return False
    try:
        files, inside = url_to_fs(path, **options)
        return bool(files.isdir(inside))
    except Exception:
        return False


def _exports(found: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """Return the files of the kind that holds most bytes, and the names of the others."""
    good = [file for file in found if not _NO_EXPORT.fullmatch(file.path.rsplit("/", 1)[-1])]
    if len(found) == 1:
        return list(found), []
    sizes: Counter[str] = Counter()
    for file in good:
        sizes[_kind(file.path)] += (file.size or 0) + 1
    if not sizes:
        return [], []
    kind = max(sizes, key=lambda name: (name != "", sizes[name]))
    chosen = [file for file in good if _kind(file.path) == kind]
    kept = {file.path for file in chosen}
    return chosen, [file.path for file in found if file.path not in kept]


def _kind(path: str) -> str:
    """Return the suffixes that say how a file is framed, empty where none does."""
    name = path.rsplit("/", 1)[-1].lower()
    suffixes = []
    while found := next((suffix for suffix in _KNOWN if name.endswith(suffix)), None):
        suffixes.append(found)
        name = name.removesuffix(found)
    return "".join(reversed(suffixes))


def _prefix(base: str, files: Sequence[Found]) -> str:
    """Return what stands before a file's path in the import file: `s3://` and the like."""
    if base.startswith("python-package://"):
        return ""
    protocol, sign, _ = base.partition("://")
    if not sign:
        return "/" if files[0].path.startswith("/") else ""
    return "" if files[0].path.startswith(f"{protocol}://") else f"{protocol}://"


def _path_of(paths: Sequence[str], given: str | None, folder: str | None = None) -> tuple[str, tuple[date, ...]]:
    for pattern, form, order in _FORMS:
        days = [_last_day(path, pattern, order) for path in paths]
        if all(days):
            found = [day for day in days if day]
            filled = [f"{path[:start]}\0{path[end:]}" for path, (_, start, end) in zip(paths, found, strict=True)]
            written = "{day}" if form == "%Y-%m-%d" else f"{{day:{form}}}"
            named = tuple(day for day, _, _ in found)
            return _other_days(_general(filled), one_day=len(set(named)) == 1).replace("\0", written), named
    if given and _GLOB.search(given):
        return given, ()
    if len(paths) > 1:
        return _general(paths), ()
    if given is not None:
        return _escaped(paths[0]), ()
    if folder is None:
        return _escaped(paths[0]), ()
    # The only file of a folder: the next one will have another number.
    start = len(os.path.commonprefix([paths[0], folder]))
    return _escaped(paths[0][:start]) + re.sub(r"\d{6,}", "*", _escaped(paths[0][start:])), ()


def _other_days(path: str, *, one_day: bool) -> str:
    """Return *path* so that it finds files of other days too: numbers behind the day are the parts of a day."""
    folders, _, name = path.rpartition("/")
    head, day, rest = path.rpartition("\0")
    if one_day and "\0" in folders:
        # One day alone does not show what is in the names of the others.
        name = f"*{_kind(name)}"
        head, day, rest = f"{folders}/{name}".rpartition("\0")
    rest = re.sub(r"\d+", "*", rest)
    return head + day + re.sub(r"(?<![*])[*](?:[-_#:~+ ]+[*](?![*]))+", "*", rest)


def _last_day(path: str, pattern: re.Pattern[str], order: str) -> tuple[date, int, int] | None:
    """Return the last plausible day in *path*, and where it stands: folders come first, files say it closest."""
    latest = datetime.now(UTC).date() + timedelta(days=1)
    for match in reversed(list(pattern.finditer(path))):
        day = _read(match.groups(), order)
        if day is None:
            continue
        if _EARLIEST <= day <= latest:
            return day, match.start(), match.end()
    return None


def _read(numbers: Sequence[str], order: str) -> date | None:
    if order == "s":
        days, rest = divmod(int(numbers[0]), 86_400)
        return None if rest else date(1970, 1, 1) + timedelta(days=days)
    parts = dict(zip(order, map(int, numbers), strict=True))
    try:
        return date(parts["y"], parts["m"], parts["d"])
    except ValueError:
        return None


def _general(paths: Sequence[str]) -> str:
    """Return one glob that matches all *paths*: what differs within a folder or name is a star."""
    different = sorted(set(paths))
    if len(different) == 1:
        return _escaped(different[0])
    pieces = [path.split("/") for path in different]
    if len({len(piece) for piece in pieces}) > 1:
        common = os.path.commonprefix(pieces)
        names = [piece[-1] for piece in pieces]
        return "/".join([*map(_escaped, common), "**", _star(names)])
    return "/".join(_star(column) for column in zip(*pieces, strict=True))


def _star(names: Sequence[str]) -> str:
    different = sorted(set(names))
    if len(different) == 1:
        return _escaped(different[0])
    start = os.path.commonprefix(different)
    # The day stays whole, and a number is not cut in its middle.
    rest = [name[len(start) :] for name in different]
    end = os.path.commonprefix([name[::-1] for name in rest])[::-1]
    start, end = start.rstrip("0123456789"), _whole_end(end)
    middle = f"*{chr(0)}*" if "\0" in different[0] and "\0" not in start + end else "*"
    return _escaped(start) + middle + _escaped(end)


def _whole_end(end: str) -> str:
    """Return *end* from its first separator on: `3.json.gz` of 13 and 23 is `.json.gz`."""
    match = re.search(r"[^0-9A-Za-z]", end)
    return end[match.start() :] if match else ""


def _escaped(text: str) -> str:
    """Return *text* with what a path would read as a pattern in brackets; a brace becomes a question mark."""
    return re.sub(r"[{}]", "?", re.sub(r"([*?\[])", r"[\1]", text))


def refuse_nothing(layout: Layout) -> None:
    """Raise ImportFileError where all files are empty."""
    if all(file.size == 0 for file in layout.files):
        raise ImportFileError(f"{layout.path}: every file there is empty (0 bytes)")
