"""Reading some records of an export, however large it is.

Belongs here: which records are read, and for how long. Does not belong here: what they mean (`columns`, `draft`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, Any, Final

from posthog_assets.core.errors import BrokenPart
from posthog_assets.sources.files.locations import Found, Location
from posthog_assets.sources.files.source import Files
from posthog_assets.sources.formats import Compression, Format, Framing, RecordChunk, Unreadable, read_records

#: Records from the beginning of a file, and from each place further on that can be reached without reading up to it.
_FIRST: Final = 1_000
_FURTHER: Final = 200
_PLACES: Final = (0.25, 0.5, 0.75, 1.0)
_SLICE: Final = 512 << 10
#: A record of a text file that is longer than this is not looked for in the middle of the file.
_HEADER: Final = 1 << 20

_SECONDS: Final = 2.0


@dataclass
class Sample:
    """Records of one file, in their order there; `whole` says that they are all it has."""

    file: Found
    framing: Framing
    records: list[dict[str, Any]] = field(default_factory=list)
    #: Why records could not be read.
    flaws: list[str] = field(default_factory=list)
    untyped: bool = False
    whole: bool = False

    def chunk(self) -> RecordChunk:
        """Return the records as a dialect takes them; a dialect uses up what it is given."""
        return RecordChunk(range(1, len(self.records) + 1), list(self.records), self.untyped)


def read_sample(location: Location, file: Found, source: Files) -> Sample:
    """Return records from the beginning of *file*, and from further on where its place can be reached at once.

    Takes two seconds at most, whatever the file's size.

    Raises:
        BrokenPart: not even the first record can be read.
    """
    sample = Sample(file, source.framing(file))
    with location.open(file) as opened:
        _add_first(sample, opened)
    if not sample.whole and _can_jump(sample):
        for share in _PLACES:
            with suppress(BrokenPart), location.open(file) as opened:
                _add_further(sample, opened, share)
    return sample


def _add_first(sample: Sample, opened: IO[bytes]) -> None:
    until = time.monotonic() + _SECONDS
    try:
        for chunk in read_records(opened, sample.framing, sample.file.url, rows=100):
            _add(sample, chunk)
            if len(sample.records) >= _FIRST or time.monotonic() > until:
                return
    except BrokenPart:
        # What is broken further on is the export's business; a sample needs only its beginning.
        if not sample.records:
            raise
        return
    sample.whole = True


def _add(sample: Sample, chunk: RecordChunk) -> None:
    sample.untyped |= chunk.untyped
    for record in chunk.records:
        if isinstance(record, Unreadable):
            sample.flaws.append(record.reason)
        else:
            sample.records.append(record)


def _can_jump(sample: Sample) -> bool:
    framing, size = sample.framing, sample.file.size
    is_lines = framing.format is Format.JSONL or (framing.format is Format.CSV and framing.encoding != "utf-16")
    return is_lines and framing.compression is Compression.NONE and size is not None and size > 4 * _SLICE


def _add_further(sample: Sample, opened: IO[bytes], share: float) -> None:
    """Add records that begin after *share* of the file; 1.0 are the last ones."""
    assert sample.file.size is not None
    header = b""
    if sample.framing.format is Format.CSV and not sample.framing.columns:
        header = opened.read(_HEADER).split(b"\n", 1)[0] + b"\n"
    opened.seek(max(0, int(sample.file.size * share) - _SLICE))
    text = opened.read(_SLICE)
    # Cut at the line ends; the last record of the file may have none.
    begin = text.find(b"\n") + 1
    end = len(text) if share == 1.0 else text.rfind(b"\n") + 1
    if begin <= 0 or end <= begin:
        return
    further = Sample(sample.file, sample.framing)
    with suppress(BrokenPart):
        for chunk in read_records(io.BytesIO(header + text[begin:end]), sample.framing, sample.file.url, rows=100):
            _add(further, chunk)
    sample.records += further.records[-_FURTHER:]


def read_on(location: Location, files: Sequence[Found], source: Files, seconds: float) -> Iterator[RecordChunk | None]:
    """Yield all records of *files*, and None where the time is up before their end.

    Raises:
        BrokenPart: a file cannot be read to its end.
    """
    until = time.monotonic() + seconds
    for file in files:
        with location.open(file) as opened:
            for chunk in read_records(opened, source.framing(file), file.url):
                yield chunk
                if time.monotonic() > until:
                    yield None
                    return


def flattened(record: dict[str, Any], depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Yield each value of a record with its path, `actor.id`; objects are looked into, lists are not."""
    for name, value in record.items():
        if isinstance(value, dict) and value and depth > 1:
            yield from ((f"{name}.{path}", inner) for path, inner in flattened(value, depth - 1))
        else:
            yield name, value


def table_of(records: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return, by path, the values that records have there; null and empty text are none."""
    found: dict[str, list[Any]] = {}
    for path, value in chain.from_iterable(map(flattened, records)):
        values = found.setdefault(path, [])
        if value is not None and value != "":
            values.append(value)
    return found
