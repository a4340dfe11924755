"""From Parquet columns to request bodies, without parsing a property again.

Belongs here: the JSON text of events and batches for both protocols. Does not belong here: compression,
HTTP, or which events go into which batch.

Text is assembled column-wise by Arrow; only events whose properties hold one of the few keys that the v1 protocol
wants elsewhere are looked at one by one (`v1_places`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from posthog_assets.core.arrow_columns import data_of, json_strings, offsets_of, pack
from posthog_assets.destination.settings import Protocol
from posthog_assets.destination.v1_places import MOVED, V1_OPTIONS, all_placed

#: What stands between the texts of two events of a v1 body, braces of both included.
_BETWEEN: Final = "},{" + V1_OPTIONS

#: Of texts that are no longer than so many bytes, on average, copies are made sooner than views.
_SHORT: Final = 150


class Stamp:
    """One property, the same for all events, at the end of their properties: there it is easily left out of a hash."""

    def __init__(self, name: str, value: str) -> None:
        self.tail = f",{orjson.dumps(name).decode()}:{orjson.dumps(value).decode()}}}".encode()

    def parts(self, properties: pa.StringArray) -> tuple[pa.StringArray, str]:
        """Return what JSON objects (none empty) with the property added consist of."""
        return pc.binary_slice(properties.view(pa.binary()), 0, -1).view(pa.string()), self.tail.decode()


@dataclass(frozen=True, slots=True)
class EncodedEvents:
    """Events as JSON text, ready to be cut into batches: parallel columns, one entry an event, oldest first.

    The hashes do not depend on the protocol.
    """

    #: `_BETWEEN`, then the event's JSON without braces: one behind the other they are a v1 body as they stand.
    texts: pa.ChunkedArray
    text_uuids: pa.StringArray
    #: The uuids as 16 bytes each (`S16`).
    uuids: np.ndarray
    #: xxh3-64 of what is sent, without its last brace and a stamp.
    hashes: np.ndarray
    #: xxh3-64 of PostHog's de-duplication key without the uuid: (UTC day, event, distinct_id).
    keys: np.ndarray
    #: Whose event it is: equal numbers must not overtake each other (`person_order`).
    persons: np.ndarray
    #: µs since 1970, UTC.
    timestamps: np.ndarray
    #: Bytes of `core`.
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def core(self) -> pa.ChunkedArray:
        """The event's JSON without braces and without what only v1 has (text)."""
        return pc.utf8_slice_codeunits(self.texts, len(_BETWEEN))

    def slice(self, start: int, stop: int) -> EncodedEvents:
        """Return events *start* to *stop*, without copying."""
        return EncodedEvents(
            self.texts.slice(start, stop - start),
            self.text_uuids.slice(start, stop - start),
            *(column[start:stop] for column in self._columns()),
        )

    def take(self, chosen: np.ndarray) -> EncodedEvents:
        """Return the events that *chosen* (boolean mask, or places) marks."""
        places = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        where = pa.array(places)
        return EncodedEvents(
            self.texts.take(where), self.text_uuids.take(where), *(column[places] for column in self._columns())
        )

    def shared_out(self, shares: int) -> list[EncodedEvents]:
        """Return the events in so many parts, all of one person in the same one, each in its order."""
        if shares == 1:
            return [self]
        numbers = self.persons % np.uint64(shares)
        together = self.take(np.argsort(numbers, kind="stable"))
        ends = np.cumsum(np.bincount(numbers.astype(np.int64), minlength=shares)).tolist()
        return [together.slice(start, end) for start, end in zip((0, *ends), ends, strict=False)]

    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.uuids, self.hashes, self.keys, self.persons, self.timestamps, self.sizes

    @staticmethod
    def joined(parts: Sequence[EncodedEvents]) -> EncodedEvents:
        """Return the events of *parts* (at least one), one part after the other."""
        if len(parts) == 1:
            return parts[0]
        return EncodedEvents(
            pa.chunked_array([chunk for part in parts for chunk in part.texts.chunks], pa.string()),
            pa.concat_arrays([part.text_uuids for part in parts]),
            *(np.concatenate(columns) for columns in zip(*(part._columns() for part in parts), strict=True)),
        )

    def body(self, protocol: Protocol, api_key: str, created_at: datetime, *, historical: bool = True) -> list[Any]:
        """Return the request body with these events, in pieces (bytes and buffers) that follow one another.

        *created_at* is only sent with v1; `/batch/` gets no `sent_at`, so that nothing moves the timestamps.
        *historical* is PostHog's flag `historical_migration`.
        """
        flag = b'"historical_migration":true,' if historical else b""
        if protocol is Protocol.BATCH:
            head = b'{"api_key":' + orjson.dumps(api_key) + b"," + flag + b'"batch":[{'
            return [head, *_joined(self.core, "},{"), b"}]}"]
        head = b'{"created_at":"' + created_at.isoformat().encode() + b'",' + flag + b'"batch":['
        if pc.any(pc.match_substring_regex(self.texts, MOVED)).as_py():
            cores = pc.binary_replace_slice(self.texts.cast(pa.binary()), 0, len(_BETWEEN), b"")
            return [head, b",".join(all_placed(cores)), b"]}"]
        first, *others = (data_of(chunk) for chunk in self.texts.chunks if len(chunk))
        return [head, first[len("},") :], *others, b"}]}"]


def encode(events: pa.RecordBatch, persons: np.ndarray | None = None, stamp: Stamp | None = None) -> EncodedEvents:
    """Return rows of the `POSTHOG_EVENTS` schema (rejected ones removed) as JSON text.

    *persons* has one number an event; without it every event is the same person's. *stamp* is a further property of
    every event that its hash does not count.
    """
    timestamps: np.ndarray = events["timestamp"].cast(pa.int64()).to_numpy(zero_copy_only=False)
    names, ids = json_strings(events["event"]), json_strings(events["distinct_id"])
    stamps = format_timestamps(timestamps)
    properties = (events["properties"],) if stamp is None else stamp.parts(events["properties"])
    texts = _concat(
        _BETWEEN + '"event":', names, ',"uuid":"', events["uuid"], '","distinct_id":', ids,
        ',"timestamp":"', stamps, '","properties":', *properties,
    )  # fmt: skip
    return EncodedEvents(
        texts=pa.chunked_array([texts]),
        text_uuids=events["uuid"],
        uuids=pack(events["uuid"]),
        hashes=hashes_of(texts, len(stamp.tail) if stamp else 1, len(_BETWEEN)),
        keys=hashes_of(_concat(pc.utf8_slice_codeunits(stamps, 0, 10), names, ids)),
        persons=np.zeros(len(texts), dtype=np.uint64) if persons is None else persons,
        timestamps=timestamps,
        sizes=np.diff(offsets_of(texts)) - len(_BETWEEN),
    )


def format_timestamps(microseconds: np.ndarray) -> pa.StringArray:
    """Return RFC 3339 texts, `2013-01-01T10:00:00.000000Z`, of µs since 1970 in UTC (years 1 to 9999)."""
    stamps = np.asarray(microseconds, dtype="int64").view("datetime64[us]")
    days = stamps.astype("datetime64[D]")
    unique, where = np.unique(days, return_inverse=True)
    dates = np.array([str(day) for day in unique], dtype="S10")
    text = np.empty((len(stamps), 27), dtype=np.uint8)
    if len(stamps):
        text[:, :10] = dates.view(np.uint8).reshape(-1, 10)[where.reshape(-1)]
    text[:] = _fill_time(text, (stamps - days).astype("int64"))
    offsets = np.arange(len(stamps) + 1, dtype=np.int32) * 27
    return pa.StringArray.from_buffers(len(stamps), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text)))


def _fill_time(text: np.ndarray, micros: np.ndarray) -> np.ndarray:
    seconds, fraction = np.divmod(micros, 1_000_000)
    seconds = seconds.astype(np.int32)
    fraction = fraction.astype(np.int32)
    text[:, 10], text[:, 13], text[:, 16], text[:, 19], text[:, 26] = b"T::.Z"
    for column, value in ((11, seconds // 3600), (14, seconds // 60 % 60), (17, seconds % 60)):
        text[:, column] = value // 10 + 48
        text[:, column + 1] = value % 10 + 48
    for column in range(25, 19, -1):
        text[:, column] = fraction % 10 + 48
        fraction = fraction // 10
    return text


def _concat(*parts: Any) -> pa.StringArray:
    return pc.binary_join_element_wise(*parts, "")


def _joined(texts: pa.ChunkedArray, separator: str) -> Iterator[Any]:
    """Yield the texts with *separator* between them, in pieces."""
    for number, chunk in enumerate(chunk for chunk in texts.chunks if len(chunk)):
        if number:
            yield separator.encode()
        offsets = pa.array([0, len(chunk)], pa.int32())
        yield pc.binary_join(pa.ListArray.from_arrays(offsets, chunk), separator)[0].as_buffer()


def hashes_of(texts: pa.StringArray, less: int = 0, more: int = 0) -> np.ndarray:
    """Return the xxh3-64 of each text without its last *less* and its first *more* bytes."""
    if not len(texts):
        return np.empty(0, dtype=np.uint64)
    ends = offsets_of(texts)
    digest = xxhash.xxh3_64_intdigest
    if not less and not more and not texts.null_count and ends[-1] - ends[0] <= _SHORT * len(texts):
        return np.fromiter(map(digest, texts.view(pa.binary()).to_pylist()), dtype=np.uint64, count=len(texts))
    view = memoryview(texts.buffers()[2])
    hashes = [digest(view[a + more : b - less]) for a, b in itertools.pairwise(ends.tolist())]
    return np.array(hashes, dtype=np.uint64)
