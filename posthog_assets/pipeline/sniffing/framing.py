"""Telling from a file's first bytes how its records are framed.

Belongs here: compression, format, and the options of CSV. Does not belong here: reading records (`formats`), or what a
file's name shows (`sources.formats.framing`).
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from contextlib import suppress
from itertools import islice
from typing import IO, Any, Final

import orjson

from posthog_assets.core.errors import BrokenPart, ImportFileError
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding
from posthog_assets.sources.formats import Compression, Format, Framing, detect
from posthog_assets.sources.formats.compression import broken, members
from posthog_assets.sources.formats.csv_layouts import LAYOUTS

#: Bytes of the decompressed text that are looked at.
_HEAD: Final = 256 << 10

#: Lines of which so many are JSON objects are JSON lines, whatever the others are.
_LEAST_OBJECTS: Final = 0.5

_COMPRESSIONS: Final = (
    (b"\x1f\x8b", Compression.GZIP), (b"\x28\xb5\x2f\xfd", Compression.ZSTD), (b"BZh", Compression.BZ2),
    (b"PK\x03\x04", Compression.ZIP),
)  # fmt: skip
_FORMATS: Final = ((b"PAR1", Format.PARQUET), (b"Obj\x01", Format.AVRO))
_MARKS: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))

#: What exports come in and is not read: how it begins, what it is, and what to do.
_OTHERS: Final = (
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"ARROW1", "an Arrow (Feather) file", "write it as Parquet"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save its sheet as CSV"),
    (b"%PDF", "a PDF document", "export the data as CSV or JSON"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it and point at the folder"),
    (b"Rar!", "a rar archive", "unpack it and point at the folder"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it, or compress it with gzip or zstd"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "unpack it, or compress it with gzip or zstd"),
    (b"\x80\x04\x95", "a Python pickle", "write it as Parquet"),
    (b"\x89HDF", "an HDF5 file", "write it as Parquet"),
    (b"<!doctype html", "a web page", "see whether it is a login or an error page in the place of the export"),
    (b"<html", "a web page", "see whether it is a login or an error page in the place of the export"),
    (b"<?xml", "an XML file", "export the data as CSV or JSON"),
)
_TAR: Final = slice(257, 262)
#: Files of a zip whose names are looked at.
_MEMBERS: Final = 100

_DELIMITERS: Final = (",", "\t", ";", "|")

#: What is a value and no name of a column: numbers, times, ids.
_VALUE: Final = re.compile(r"[-+]?\d[\d.,:/T -]*Z?|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|.*@.*\..*|https?://.*")


def sniff_framing(name: str, file: IO[bytes]) -> tuple[dict[str, Any], list[Finding]]:
    """Return the settings of a files source that its name does not show, and what was found.

    *file* is read from where it stands.

    Raises:
        ImportFileError: it is none of the formats that can be read.
        BrokenPart: it is damaged at its very beginning.
    """
    magic = file.read(4)
    file.seek(0)
    compression = next((kind for mark, kind in _COMPRESSIONS if magic.startswith(mark)), Compression.NONE)
    by_name = _framing_by_name(name)
    settings: dict[str, Any] = {}
    if compression is not (by_name.compression if by_name else Compression.NONE) and not _packs_itself(by_name, magic):
        settings["compression"] = compression.value
    inner_name, head, kind = _head(name, file, compression)
    _refuse_others(name, head)
    shape = by_name.format if by_name and by_name.format else None
    if kind is None:
        kind = _format_of(head, name)
    if shape is None and compression is Compression.ZIP:
        shape = _format_by_name(inner_name)
    if shape is None or _contradicts(shape, kind):
        settings["format"] = kind.value
        shape = kind
    findings = [_finding(shape, compression, settings)]
    if shape is Format.CSV:
        options, found = _csv_options(inner_name, head)
        settings |= {"csv": options} if options else {}
        findings += found
    return settings, findings


def _framing_by_name(name: str) -> Framing | None:
    try:
        return detect(name)
    except ImportFileError:
        return None


def _format_by_name(name: str) -> Format | None:
    by_name = _framing_by_name(name)
    return by_name.format if by_name else None


def _packs_itself(by_name: Framing | None, magic: bytes) -> bool:
    """Whether it is Parquet or Avro under a name such as `.parquet.zst`, which the reader knows."""
    return bool(by_name) and any(magic.startswith(mark) for mark, _ in _FORMATS)


def _head(name: str, file: IO[bytes], compression: Compression) -> tuple[str, bytes, Format | None]:
    """Return the name, the first text, and the format where a magic number says it, of a file or a zip's member."""
    # The format is only passed through: a zip's members then need no telling name.
    framing = Framing(Format.PARQUET, compression)
    found: tuple[str, bytes, Format | None] | None = None
    inside: list[str] = []
    for path, stream, _ in islice(members(file, framing, name), _MEMBERS):
        inside.append(path.rsplit("!", 1)[-1])
        if found is None and (head := _beginning(stream, path)):
            found = path, head, next((kind for mark, kind in _FORMATS if head.startswith(mark)), None)
    if any(path.startswith("xl/") for path in inside):
        raise ImportFileError(f"{name} is an Excel workbook, which is not read: save its sheet as CSV")
    kinds = {_format_by_name(path): path for path in reversed(inside)}
    if len(kinds) > 1:
        raise ImportFileError(
            f"{name} holds files of several kinds ({', '.join(sorted(kinds.values()))}), and all files of a zip are "
            "read by the same rules: unpack it and point at the folder"
        )
    if found:
        return found
    raise ImportFileError(f"{name} is empty: there is nothing to tell its format by; name a file that has records")


def _beginning(stream: IO[bytes], name: str) -> bytes:
    """Return the first bytes of a stream; what is broken further on is found by the export, and is no matter here."""
    found = b""
    try:
        while len(found) < _HEAD:
            # A little at a time: what stands before a break is wanted.
            with broken(name):
                piece = stream.read(4096)
            if not piece:
                break
            found += piece
    except BrokenPart:
        if not found:
            raise
    return found[:_HEAD]


def _refuse_others(name: str, head: bytes) -> None:
    """Raise ImportFileError for what is known and not read."""
    begin = head.lstrip().lower()
    for mark, what, instead in _OTHERS:
        if head.startswith(mark) or begin.startswith(mark.lower()):
            raise ImportFileError(f"{name} is {what}, which is not read: {instead}")
    if head[_TAR] == b"ustar":
        raise ImportFileError(f"{name} is a tar archive, which is not read: unpack it and point at the folder")


def _format_of(head: bytes, name: str) -> Format:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] == b"[":
        return Format.JSON
    if text[:1] == b"{":
        first = text.split(b"\n", 1)[0]
        try:
            orjson.loads(first)
        except orjson.JSONDecodeError:
            # Either a pretty-printed object, or a line with what is no JSON in it; lines end in a brace.
            return Format.JSONL if first.rstrip().endswith(b"}") and len(text) > len(first) else Format.JSON
        return Format.JSONL
    if _share_of_objects(text) >= _LEAST_OBJECTS:
        return Format.JSONL
    if b"\0" in head[:1024] and not _encoding(head).startswith("utf-16"):
        raise ImportFileError(
            f"{name} is none of the formats that can be read ({', '.join(Format)}; {', '.join(Compression)}): it "
            f"begins with {head[:8]!r}"
        )
    return Format.CSV


def _share_of_objects(text: bytes) -> float:
    """Return the share of the first lines that are JSON objects; a bad line may stand first."""
    lines = [line for line in text.split(b"\n")[:21] if line.strip()][:20]
    return sum(_is_object(line) for line in lines) / len(lines) if lines else 0.0


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _contradicts(named: Format, found: Format) -> bool:
    """Whether the content is another format than the name says; JSON's reader takes lines too."""
    return named is not found and not (named is Format.JSON and found is Format.JSONL)


def _finding(shape: Format, compression: Compression, settings: dict[str, Any]) -> Finding:
    by = "its content" if {"format", "compression"} & settings.keys() else "its name and content"
    packed = "" if compression is Compression.NONE else f", {compression.value}"
    return Finding("source.format", f"{shape.value}{packed}", Certainty.SURE, f"by {by}")


def _csv_options(name: str, head: bytes) -> tuple[dict[str, Any], list[Finding]]:
    options: dict[str, Any] = {}
    encoding = _encoding(head)
    if encoding != "utf-8":
        options["encoding"] = encoding
    lines = _whole_lines(head, encoding)
    delimiter = _delimiter(lines)
    tabs = "\t" in lines[0] if lines else False
    if layout := _layout(lines):
        return {"columns": layout}, [
            Finding(
                "source.csv.columns", layout, Certainty.SURE, f"{len(LAYOUTS[layout].columns)} columns and no header"
            )
        ]
    rows = _rows(lines, delimiter)
    if quote := _quote(rows):
        options["quote"] = quote
        rows = _rows(lines, delimiter, quote)
    if delimiter != ("\t" if name.lower().split(".")[-1] == "tsv" or (tabs and ".tsv" in name.lower()) else ","):
        options["delimiter"] = delimiter
    findings = []
    if rows and not _is_header(rows):
        options["columns"] = [f"column_{number}" for number in range(1, len(rows[0]) + 1)]
        findings.append(
            Finding("source.csv.columns", f"{len(rows[0])} columns without a header", Certainty.UNSURE,
                    "the first line holds values and no names: replace these by the names, in their order")
        )  # fmt: skip
    if encoding == "cp1252":
        findings.append(
            Finding(
                "source.csv.encoding", encoding, Certainty.LIKELY, "the text is not UTF-8; see that umlauts are right"
            )
        )
    return options, findings


def _encoding(head: bytes) -> str:
    if found := next((name for mark, name in _MARKS if head.startswith(mark)), None):
        return found
    # Without a mark at its beginning, UTF-16 of mostly plain letters has a zero in every second byte.
    for name, zeros in (("utf-16-le", head[1:400:2]), ("utf-16-be", head[:400:2])):
        if len(zeros) > 3 and zeros.count(0) > 0.8 * len(zeros):
            return name
    with suppress(UnicodeDecodeError):
        decoder = codecs.getincrementaldecoder("utf-8")()
        is_ascii = decoder.decode(head).isascii()
        # The last character may be cut off. Where it is the only one that is not ASCII, and the text ends with it, a
        # small letter of cp1252 is the end of a word.
        last = decoder.getstate()[0]
        if not (is_ascii and len(head) < _HEAD and len(last) == 1 and last.decode("cp1252", "ignore").islower()):
            return "utf-8"
    return "cp1252"


def _whole_lines(head: bytes, encoding: str) -> list[str]:
    text = head.decode(encoding, "ignore").lstrip("\ufeff")
    lines = text.splitlines()
    return lines[:-1][:200] if len(head) == _HEAD and len(lines) > 1 else lines[:200]


def _delimiter(lines: list[str]) -> str:
    """Return the delimiter that gives most lines the same number of values, more than one."""

    def score(delimiter: str) -> tuple[float, int]:
        widths = Counter(len(row) for row in _rows(lines, delimiter))
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        return (count / max(widths.total(), 1) if width > 1 else 0.0, width)

    best = max(_DELIMITERS, key=score)
    return best if score(best)[0] >= 0.5 else ","


def _rows(lines: list[str], delimiter: str, quote: str = '"') -> list[list[str]]:
    rows = []
    with suppress(csv.Error):
        for row in csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, quotechar=quote):
            if row:
                rows.append(row)
    return rows


def _layout(lines: list[str]) -> str | None:
    """Return the published layout whose files have so many columns, and no header of these names."""
    for name, layout in LAYOUTS.items():
        rows = [line.split(layout.delimiter) for line in lines[:20] if line]
        if rows and all(len(row) == len(layout.columns) for row in rows) and rows[0] != list(layout.columns):
            return name
    return None


def _quote(rows: list[list[str]]) -> str | None:
    """Return the single quote where most values stand in such."""
    cells = [cell for row in rows for cell in row if cell]
    quoted = sum(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in cells)
    return "'" if quoted > 0.5 * len(cells) else None


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first row holds names: no value is one, and none is missing or repeated without rows that differ."""
    first = [cell.strip() for cell in rows[0]]
    if any(_VALUE.fullmatch(name) for name in first):
        return False
    if all(first) and len(set(first)) == len(first):
        return True
    # pandas leaves the name of its index empty; a join repeats names. The rows below have values where names stand.
    below = [row for row in rows[1:] if len(row) == len(first)]
    return any(_VALUE.fullmatch(cell.strip()) for row in below for cell in row)
