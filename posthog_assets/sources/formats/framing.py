"""Telling from a file's name how its records are framed.

Belongs here: formats, compressions, their suffixes and options. Does not belong here: reading.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeVar

from posthog_assets.core.errors import ImportFileError


class Format(StrEnum):
    """`JSON` is an array, one object, or objects one after the other: told apart by looking."""

    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    AVRO = "avro"


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZ2 = "bz2"
    ZIP = "zip"


_FORMATS: Final = {
    "jsonl": Format.JSONL, "ndjson": Format.JSONL, "json": Format.JSON, "csv": Format.CSV, "tsv": Format.CSV,
    "parquet": Format.PARQUET, "pq": Format.PARQUET, "avro": Format.AVRO,
}  # fmt: skip
_COMPRESSIONS: Final = {
    "gz": Compression.GZIP, "gzip": Compression.GZIP, "zst": Compression.ZSTD, "zstd": Compression.ZSTD,
    "bz2": Compression.BZ2, "zip": Compression.ZIP,
}  # fmt: skip

#: Every suffix that says something, for taking a name apart.
SUFFIXES: Final = frozenset(_FORMATS) | frozenset(_COMPRESSIONS)

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Framing:
    """How to read one part. `format` is None in a zip whose members say their own.

    `unfold` names a list in each record, the members of which are the records: see `unfold`. `columns` are those of a
    CSV file without a header. Where `quote` is empty, a quote is a letter like any other. `select` is the path at which
    an answer of an API holds its records, `skip` are ranges of those that are not the part's (start included, stop
    excluded), `add` is a JSON object whose members each record gets, `key` the name of a field that each gets, then
    what its value begins with, then the paths of the values that follow in it.
    """

    format: Format | None
    compression: Compression = Compression.NONE
    delimiter: str = ","
    encoding: str = "utf-8"
    quote: str = '"'
    unfold: str | None = None
    #: No part of the text of a framing: digests of it are older, and stay the same for files with a header.
    columns: tuple[str, ...] = field(default=(), repr=False)
    select: str | None = field(default=None, repr=False)
    skip: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    add: str = field(default="", repr=False)
    key: tuple[str, ...] = field(default=(), repr=False)

    def written(self) -> dict[str, Any]:
        """Return it as JSON; an older version of this program can read what uses none of the newer options."""
        content = asdict(self)
        return {key: value for key, value in content.items() if key not in _NEWER or value not in (None, (), "")}


#: Options that older versions do not know.
_NEWER: Final = frozenset({"columns", "select", "skip", "add", "key"})


def framing_of(content: dict[str, Any]) -> Framing:
    """Return the framing that was written down as JSON; raises ValueError, KeyError or TypeError where it is none."""
    known = {
        "format": Format(content["format"]) if content["format"] else None,
        "compression": Compression(content["compression"]),
        "columns": tuple(content.get("columns", ())),
        "key": tuple(content.get("key", ())),
        "skip": tuple((int(start), int(stop)) for start, stop in content.get("skip", ())),
    }
    return Framing(**(content | known))


def detect(
    name: str,
    format: str | None = None,
    compression: str | None = None,
    *,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    quote: str = '"',
    columns: tuple[str, ...] = (),
) -> Framing:
    """Return the framing that the suffixes of *name* show; explicit settings win.

    What has *columns* and a name that does not tell is CSV.

    Raises:
        ImportFileError: neither the name nor a setting says the format, or a setting is none that is known.
    """
    suffixes = [suffix.lower() for suffix in name.rsplit("/", 1)[-1].split(".")[1:]]
    found = _COMPRESSIONS.get(suffixes[-1], Compression.NONE) if suffixes else Compression.NONE
    if found is not Compression.NONE:
        suffixes.pop()
    chosen = _choice(Compression, compression, "compression") or found
    shape = _choice(Format, format, "format")
    if shape is None and chosen is not Compression.ZIP:
        shape = _FORMATS.get(suffixes[-1] if suffixes else "", Format.CSV if columns else None)
        if shape is None:
            raise ImportFileError(
                f"{name}: the name does not tell the format; set source.format to one of {', '.join(Format)} "
                f"(suffixes that tell: {', '.join(sorted(_FORMATS))}; then {', '.join(sorted(_COMPRESSIONS))})"
            )
    tabs = shape is Format.CSV and suffixes[-1:] == ["tsv"]
    return Framing(shape, chosen, delimiter or ("\t" if tabs else ","), encoding, quote, columns=columns)


def _choice(kind: type[Choice], value: str | None, field: str) -> Choice | None:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        raise ImportFileError(f"source.{field} {value!r} is unknown; allowed: {', '.join(kind)}") from None
