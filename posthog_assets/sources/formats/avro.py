"""Avro.

Belongs here: records whose values JSON can hold. Does not belong here: the file around them (`avro_container`), or what
a value means (`dialects`).
"""

from __future__ import annotations

import io
import math
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from typing import Any, Final

import orjson

from posthog_assets.core.errors import BrokenPart, ImportFileError, shorten
from posthog_assets.core.json_records import LONGEST_LINE, MOST_VALUES
from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.core.threads import WhileInUse
from posthog_assets.sources.formats.avro_container import Container
from posthog_assets.sources.formats.json_values import of_bytes, of_decimal

#: A chunk ends after about this many bytes, however few records that is.
_CHUNK_BYTES: Final = 16 << 20

#: Before the names of our readers, so that they stand beside fastavro's own, which others in the process may use.
_OURS: Final = "posthog_assets."

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY: Final = 86_400_000_000


def read_avro(blocks: Iterator[bytes], name: str, rows: int, first: int = 1) -> Iterator[RecordChunk]:
    """Yield the records of an object container file as dicts, at most *rows* at a time; positions count records.

    Values arrive as `read_parquet` has them. Timestamps are `datetime` in UTC, local ones stay naive; nanoseconds are
    cut to microseconds. Dates are `date`, times of day ISO 8601 text, a duration is {months, days, milliseconds}, which
    have no fixed length in seconds. A moment Python cannot hold is text that says which. Of unions the value arrives,
    of enums the symbol. A type whose logical type is unknown is read as what it is.

    Raises:
        BrokenPart: the file breaks off or is damaged; the records before that were yielded.
        ImportFileError: fastavro is not installed.
    """
    records: list[dict[str, Any] | Unreadable] = []
    held = 0
    try:
        for record, content in AvroRecords(blocks, name):
            records.append(record)
            held += len(content)
            if len(records) == rows or held > _CHUNK_BYTES:
                yield RecordChunk(range(first, first + len(records)), records)
                first, records, held = first + len(records), [], 0
    except BrokenPart:
        if records:
            yield RecordChunk(range(first, first + len(records)), records)
        raise
    if records:
        yield RecordChunk(range(first, first + len(records)), records)


def count_avro(blocks: Iterator[bytes], name: str) -> int:
    """Return the sum of the counts of all blocks; raises BrokenPart.

    Only those are decompressed that may hold fewer bytes than they say records.
    """
    container, total = Container(blocks, name), 0
    for block in container:
        if block.count > len(block.content):
            container.unpacked(block)
        total += block.count
    return total


def is_installed() -> bool:
    """Whether the library is there that Avro needs."""
    return find_spec("fastavro") is not None


class AvroRecords:
    """Iterates over (record, the bytes it is made of); `schema` is the text of the file's schema."""

    def __init__(self, blocks: Iterator[bytes], name: str) -> None:
        """Read the header; raises BrokenPart, and ImportFileError where fastavro is not installed."""
        self._name = name
        self._container = Container(blocks, name)
        self.schema = self._container.schema
        self._read, self._parsed = _library().schemaless_reader, _parsed(self.schema, name)

    def __iter__(self) -> Iterator[tuple[dict[str, Any] | Unreadable, bytes]]:
        with _OUR_READERS:
            yield from self._all()

    def _all(self) -> Iterator[tuple[dict[str, Any] | Unreadable, bytes]]:
        number = 0
        for block in self._container:
            content = self._container.unpacked(block)
            file, end = _Content(content) if len(content) > MOST_VALUES else io.BytesIO(content), 0
            for _ in range(block.count):
                number += 1
                start, record = end, self._next(file, number)
                end = file.tell()
                yield record, content[start:end]
            if end < len(content):
                raise BrokenPart(
                    f"{self._name}: {len(content) - end:,} bytes are left in the block of record {number}, "
                    "after as many records as it says it has"
                )

    def _next(self, file: io.BytesIO, number: int) -> dict[str, Any] | Unreadable:
        start = file.tell()
        _EMPTY.left = MOST_VALUES
        if isinstance(file, _Content):
            file.begin_record()
        try:
            try:
                record = self._read(file, self._parsed, None)
            except UnicodeDecodeError as error:
                # Read again, for where the record ends; those after it are not to be lost.
                file.seek(start)
                self._read(file, self._parsed, None, handle_unicode_errors="replace")
                return Unreadable(shorten(f"text that is not UTF-8: {error}"))
        except Exception as error:
            words = shorten(str(error) or type(error).__name__)
            raise BrokenPart(f"{self._name}: record {number} cannot be read as its schema says: {words}") from error
        return record if type(record) is dict else Unreadable("not a record, as its schema says")


class _Content(io.BytesIO):
    """A block in which one record may hold too much; in smaller ones there is no room for that many values.

    Where such a record ends is not known before it is read, so it breaks the part.
    """

    _values = _bytes = 0

    def begin_record(self) -> None:
        self._values, self._bytes = MOST_VALUES, LONGEST_LINE

    def read(self, size: int | None = -1, /) -> bytes:
        # One for each value at least.
        self._values -= 1
        self._bytes -= size or 0
        if self._values < 0 or self._bytes < 0:
            limit = f"{MOST_VALUES:,} values" if self._values < 0 else f"{LONGEST_LINE >> 20} MiB"
            raise ValueError(f"it is longer than {limit}: refused")
        return super().read(size)


def _library() -> Any:
    try:
        import fastavro.read
    except ImportError:
        raise ImportFileError(NEEDS_FASTAVRO) from None
    return fastavro


def _add_readers() -> Callable[[], object]:
    # As fastavro's documentation has it for logical types of one's own.
    readers = _library().read.LOGICAL_READERS
    ours = {f"{word.partition('-')[0]}-{_OURS}{word}": reader for word, reader in _READERS.items()}
    ours |= {f"{kind}-{_OURS}empty": _empty for kind in ("null", "record", "error", "fixed")}
    readers.update(ours)

    def remove() -> None:
        for name in ours:
            del readers[name]

    return remove


_OUR_READERS: Final = WhileInUse(_add_readers)


NEEDS_FASTAVRO: Final = "format avro needs another package: pip install 'posthog_assets[avro]'"


def _parsed(text: bytes, name: str) -> Any:
    """Return a schema as fastavro wants it, with our readers for what JSON cannot hold."""
    try:
        return _library().parse_schema(_with_readers(orjson.loads(text)))
    except Exception as error:
        words = shorten(str(error) or type(error).__name__)
        raise BrokenPart(f"{name}: its schema cannot be read: {words}") from error


def _with_readers(schema: Any) -> Any:
    """Return a schema of the same bytes that names our readers, without what reading does not need.

    The values are changed while they are read, and not afterwards, because only then is it known which branch of a
    union they are of. Defaults are left out: fastavro refuses those that other writers get wrong.
    """
    if isinstance(schema, list):
        return [_with_readers(branch) for branch in schema]
    if isinstance(schema, str):
        schema = {"type": schema}
    kind = schema["type"]
    if not isinstance(kind, str):
        return _with_readers(kind)
    kept = {key: schema[key] for key in ("type", "name", "namespace", "size", "symbols") if key in schema}
    if kind in ("record", "error"):
        kept["fields"] = [{"name": field["name"], "type": _with_readers(field["type"])} for field in schema["fields"]]
    elif kind == "array":
        kept["items"] = _counted(_with_readers(schema["items"]))
    elif kind == "map":
        kept["values"] = _with_readers(schema["values"])
    for word in (f"{kind}-{schema.get('logicalType')}", kind):
        if word in _READERS:
            kept |= {"logicalType": _OURS + word, "scale": schema.get("scale", 0)}
            break
    return kept if len(kept) > 1 else kind


def _counted(items: Any) -> Any:
    """Return what an array holds so that members without bytes are counted: 300 bytes may say 10^8 of them."""
    if items == "null":
        items = {"type": "null"}
    is_empty = isinstance(items, dict) and (
        items["type"] == "null" or _is_empty_record(items) or items.get("size") == 0
    )
    return items | {"logicalType": _OURS + "empty"} if is_empty else items


def _is_empty_record(schema: dict[str, Any]) -> bool:
    return schema["type"] in ("record", "error") and all(
        field["type"] == "null" or (isinstance(field["type"], dict) and _is_empty_record(field["type"]))
        for field in schema["fields"]
    )


class _Empty(threading.local):
    """How many more values without bytes the record that this thread reads may hold."""

    left = MOST_VALUES


_EMPTY: Final = _Empty()


def _empty(value: Any, *_: Any) -> Any:
    _EMPTY.left -= 1
    if _EMPTY.left < 0:
        raise ValueError(f"an array of more than {MOST_VALUES:,} values without bytes: refused")
    return of_bytes(value) if type(value) is bytes else value


def _finite(value: float, *_: Any) -> float | None:
    return value if math.isfinite(value) else None


def _bytes(value: bytes, *_: Any) -> str:
    return of_bytes(value)


def _decimal(value: bytes, schema: dict[str, Any], *_: Any) -> int | float | str:
    unscaled = int.from_bytes(value, "big", signed=True)
    # Made of its digits: arithmetic on decimals rounds to 28 of them.
    digits = tuple(map(int, str(abs(unscaled))))
    return of_decimal(Decimal((int(unscaled < 0), digits, -schema["scale"])))


def _uuid(value: bytes, *_: Any) -> str:
    return str(uuid.UUID(bytes=value)) if len(value) == 16 else of_bytes(value)


def _duration(value: bytes, *_: Any) -> dict[str, int] | str:
    if len(value) != 12:
        return of_bytes(value)
    parts = (int.from_bytes(value[start : start + 4], "little") for start in (0, 4, 8))
    return dict(zip(("months", "days", "milliseconds"), parts, strict=True))


def _date(value: int, *_: Any) -> date | str:
    try:
        return date.fromordinal(_EPOCH_DAY + value)
    except (ValueError, OverflowError):
        return f"{value} days after 1970-01-01"


def _moment(micros: Callable[[int], int], unit: str, epoch: datetime) -> Callable[..., Any]:
    def read(value: int, *_: Any) -> datetime | str:
        try:
            return epoch + timedelta(microseconds=micros(value))
        except OverflowError:
            return f"{value} {unit} after 1970-01-01"

    return read


def _time_of_day(micros: Callable[[int], int], unit: str) -> Callable[..., Any]:
    def read(value: int, *_: Any) -> str:
        if 0 <= micros(value) < _DAY:
            return (_EPOCH + timedelta(microseconds=micros(value))).time().isoformat()
        return f"{value} {unit} after midnight"

    return read


_UNITS: Final[dict[str, tuple[Callable[[int], int], str]]] = {
    "millis": (lambda value: value * 1_000, "ms"),
    "micros": (lambda value: value, "µs"),
    "nanos": (lambda value: value // 1_000, "ns"),
}

#: Type, or type and logical type -> what makes a value of it.
_READERS: Final[dict[str, Callable[..., Any]]] = {
    "float": _finite,
    "double": _finite,
    "bytes": _bytes,
    "fixed": _bytes,
    "bytes-decimal": _decimal,
    "fixed-decimal": _decimal,
    "fixed-uuid": _uuid,
    "fixed-duration": _duration,
    "int-date": _date,
    "int-time-millis": _time_of_day(*_UNITS["millis"]),
    "long-time-micros": _time_of_day(*_UNITS["micros"]),
    **{f"long-timestamp-{unit}": _moment(*words, _EPOCH) for unit, words in _UNITS.items()},
    **{f"long-local-timestamp-{unit}": _moment(*words, _EPOCH.replace(tzinfo=None)) for unit, words in _UNITS.items()},
}
