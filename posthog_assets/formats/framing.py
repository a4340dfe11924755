"""Telling from a file's name how its records are framed.

Belongs here: formats, compressions, their suffixes and options. Does not belong here: reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthog_assets.errors import ImportFileError


class Format(StrEnum):
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZ2 = "bz2"
    ZIP = "zip"


_FORMATS: Final = {
    "jsonl": Format.JSONL, "ndjson": Format.JSONL, "json": Format.JSON, "csv": Format.CSV, "tsv": Format.CSV,
    "parquet": Format.PARQUET, "pq": Format.PARQUET,
}  # fmt: skip
_COMPRESSIONS: Final = {
    "gz": Compression.GZIP, "gzip": Compression.GZIP, "zst": Compression.ZSTD, "zstd": Compression.ZSTD,
    "bz2": Compression.BZ2, "zip": Compression.ZIP,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Framing:
    """How to read one part. `format` is None in a zip: its members say their own."""

    format: Format | None
    compression: Compression = Compression.NONE
    delimiter: str = ","
    encoding: str = "utf-8"
    quote: str = '"'


def detect(
    name: str,
    format: str | None = None,
    compression: str | None = None,
    *,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    quote: str = '"',
) -> Framing:
    """Return the framing that the suffixes of *name* show; explicit settings win.

    Raises:
        ImportFileError: neither the name nor a setting says the format.
    """
    suffixes = [suffix.lower() for suffix in name.rsplit("/", 1)[-1].split(".")[1:]]
    found_compression = Compression.NONE
    if suffixes and suffixes[-1] in _COMPRESSIONS:
        found_compression = _COMPRESSIONS[suffixes.pop()]
    chosen = Compression(compression) if compression else found_compression
    found_format = _FORMATS.get(suffixes[-1]) if suffixes else None
    shape = Format(format) if format else found_format
    # `.parquet.zst`, as PostHog's own batch exports are named, is Parquet whose columns are compressed inside.
    if shape is Format.PARQUET and chosen in (Compression.ZSTD, Compression.GZIP) and not compression:
        chosen = Compression.NONE
    if shape is None and chosen is not Compression.ZIP:
        raise ImportFileError(
            f"{name}: the name does not tell the format; set source.format to one of "
            f"{', '.join(Format)} (suffixes that tell: {', '.join(sorted(_FORMATS))}, each also with "
            f"{', '.join(sorted(_COMPRESSIONS))})"
        )
    comma = delimiter or ("\t" if suffixes and suffixes[-1] == "tsv" else ",")
    return Framing(shape, chosen, comma, encoding, quote)
