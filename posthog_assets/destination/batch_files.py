"""The files in which a ledger keeps what PostHog answered: names, content, and what shows that one was altered.

Belongs here: one file. Does not belong here: which files a day has, and what follows from them (`ledger`).

    <number>-<writer>-<digest>.parquet          one answered batch, a row per event; release 0.1 wrote no digest
    <number>-<writer>-<digest>-folded.parquet   the newest entry of every event of many files, and the facts of each

The digest is of all bytes of the file, so that one that was cut off or altered is noticed before its verdicts count.
"""

from __future__ import annotations

import io
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from posthog_assets.core.schemas import BATCH_FILE
from posthog_assets.core.uuid_sorter import whole
from posthog_assets.destination.batch_file_layouts import Layouts
from posthog_assets.destination.entries import CODES, VERDICTS, Entries, Known

#: Other names in the folder, such as a copy that a person or a synchronised folder made, are not the ledger's.
_NAME: Final = re.compile(r"(?P<number>\d{8,})(-[0-9a-f]{8}(-(?P<digest>[0-9a-f]{16})(?P<folded>-folded)?)?)?\.parquet")

#: Where a file keeps its facts, and their digest: they are also read without the rest. Of a folded file these are the
#: sums, for release 0.1, which cannot read the others.
_FACTS: Final = b"posthog_assets"
_FACTS_DIGEST: Final = b"posthog_assets.digest"
_FOLDED: Final = b"posthog_assets.folded"

#: How the columns of a file are written: hashes and uuids do not compress.
_WRITTEN: Final[dict[str, Any]] = {
    "compression": "none", "use_dictionary": ["verdict", "detail"], "write_statistics": False,
}  # fmt: skip

_BLOCK: Final = 4 << 20

#: Files up to this size are copied to read them faster; of larger ones the copy would be what takes memory.
_COPIED: Final = 4 << 20

#: Where the footer of a Parquet file has the Arrow types of its columns: the length of the name, and the name.
_ARROW_SCHEMA: Final = b"\x0cARROW:schema"
_NO_ARROW_SCHEMA: Final = b"\x0c-----:schema"

#: The columns of a file that does not say which Arrow types they have.
_WITHOUT_ARROW_SCHEMA: Final = BATCH_FILE.set(BATCH_FILE.get_field_index("verdict"), pa.field("verdict", pa.string()))


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """The ledger's row of one batch; instants are ISO 8601 with zone, or None."""

    answered_at: str
    protocol: str
    request_id: str
    requests: int
    events: int
    acknowledged: int
    dropped: int
    owed: int
    raw_bytes: int
    sent_bytes: int
    first_timestamp: str | None
    last_timestamp: str | None
    #: The version of the mapping that made the events (`mapping.version`).
    mapping: str | None = None

    def as_dict(self) -> dict[str, Any]:
        # Some ten times as fast as `dataclasses.asdict`, which copies every value.
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts of each batch in a file, by the name of the file it had to itself, and the files this one replaces."""

    batches: list[tuple[str, BatchFacts]]
    replaces: frozenset[str] = frozenset()


def no_layouts() -> Layouts:
    """Return where the layouts of files that are read may be learned."""
    return Layouts(_FACTS, _FACTS_DIGEST)


def is_batch_file(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def is_folded(name: str) -> bool:
    return name.endswith("-folded.parquet")


def number_of(name: str) -> int:
    return int(name.split("-")[0].removesuffix(".parquet"))


def file_name(number: int, writer: str, digest: str, *, folded: bool = False) -> str:
    return f"{number:08d}-{writer}-{digest}{'-folded' if folded else ''}.parquet"


def content_of(entries: Entries, facts: BatchFacts) -> bytes:
    """Return the file of one answered batch."""
    text = orjson.dumps(facts.as_dict())
    table = pa.Table.from_arrays(
        [
            # numpy drops trailing zero bytes of what it gives back as Python bytes.
            pa.Array.from_buffers(pa.binary(16), len(entries), [None, pa.py_buffer(entries.uuids.tobytes())]),
            pa.array(entries.hashes),
            pa.array(entries.keys),
            pa.DictionaryArray.from_arrays(entries.codes, [v.value for v in VERDICTS]),
            pa.array(entries.details, pa.string()),
        ],
        schema=BATCH_FILE.with_metadata({_FACTS: text, _FACTS_DIGEST: digest_of(text)}),
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, **_WRITTEN)
    return sink.getvalue()


def write_folded(path: Path, pieces: Iterable[Known], facts: FileFacts) -> str:
    """Write what is known of a day, sorted by uuid, and the *facts* of all files it was read from, into one file.

    Returns its digest.
    """
    text = orjson.dumps(_sums([facts for _, facts in facts.batches]).as_dict())
    listed = orjson.dumps(
        {"replaces": sorted(facts.replaces), "batches": [[name, one.as_dict()] for name, one in facts.batches]}
    )
    folded = b64encode(zlib.compress(listed))
    schema = BATCH_FILE.with_metadata({_FACTS: text, _FACTS_DIGEST: digest_of(text + folded), _FOLDED: folded})
    with pq.ParquetWriter(path, schema, **_WRITTEN) as writer:
        for piece in pieces:
            writer.write_table(pa.Table.from_arrays(_columns(piece), schema=schema))
    with path.open("rb") as file:
        return digest_of_file(file)


def _columns(known: Known) -> list[pa.Array]:
    uuids = whole(known.high, known.low)
    said, places = np.unique(known.places, return_inverse=True)
    return [
        pa.Array.from_buffers(pa.binary(16), len(known), [None, pa.py_buffer(uuids.tobytes())]),
        pa.array(known.hashes),
        pa.array(known.keys),
        pa.DictionaryArray.from_arrays(known.codes, [v.value for v in VERDICTS]),
        pa.array([known.texts[word] for word in said.tolist()], pa.string()).take(pa.array(places)),
    ]


def _sums(facts: list[BatchFacts]) -> BatchFacts:
    def total(name: str) -> int:
        return sum(getattr(one, name) for one in facts)

    return replace(
        facts[-1], requests=total("requests"), events=total("events"), acknowledged=total("acknowledged"),
        dropped=total("dropped"), owed=total("owed"), raw_bytes=total("raw_bytes"), sent_bytes=total("sent_bytes"),
    )  # fmt: skip


def facts_of(file: IO[bytes], name: str) -> FileFacts:
    """Return the facts in a file, of which only the end is read.

    Raises:
        ValueError, KeyError, TypeError, pa.ArrowException: it is not what was written.
    """
    return _facts(pq.read_schema(file).metadata, name)


def read(file: IO[bytes], name: str, layouts: Layouts) -> tuple[FileFacts, Iterator[pa.Table]]:
    """Return the facts in a file, and all of its rows, for `codes_of`; those of an answered batch are one table.

    *layouts* are those of files that were read before.

    Raises:
        ValueError, KeyError, TypeError, pa.ArrowException: it is not what was written.
    """
    if is_folded(name):
        _check_digest(name, digest_of_file(file))
        reader = pq.ParquetFile(file, pre_buffer=False)
        _check_columns(reader.schema_arrow, BATCH_FILE)
        return _facts(reader.schema_arrow.metadata, name), _tables(reader)
    # At once: it is small, unless it is of an undo of release 0.1.
    content = file.read()
    has_digest = _check_digest(name, digest_of(content))
    is_copied = len(content) <= _COPIED
    if is_copied and (found := layouts.read(content)) is not None:
        noted, table = found
        return _facts(noted, name), iter([table])
    reader = pq.ParquetFile(pa.BufferReader(_without_arrow_schema(content) if is_copied else content), pre_buffer=False)
    table = reader.read(use_threads=False)
    _check_columns(table.schema, _WITHOUT_ARROW_SCHEMA if is_copied else BATCH_FILE)
    if not has_digest:
        table.validate(full=True)
    facts = _facts(table.schema.metadata, name)
    if is_copied:
        layouts.learn(content, reader.metadata, table.replace_schema_metadata())
    return facts, iter([table if is_copied else table.cast(_WITHOUT_ARROW_SCHEMA)])


def _check_digest(name: str, actual: str) -> bool:
    """Return whether the name has a digest; raises ValueError where that is another one."""
    found = _NAME.fullmatch(name)
    digest = found["digest"] if found else None
    if digest not in (None, actual):
        raise ValueError("its content is not that of which its name has the digest")
    return digest is not None


def _check_columns(actual: pa.Schema, expected: pa.Schema) -> None:
    if not actual.equals(expected):
        raise ValueError(f"its columns are {', '.join(actual.names)}")


def _without_arrow_schema(content: bytes) -> bytes:
    """Return a file as one whose footer does not say which Arrow types its columns have.

    It says that verdicts are a dictionary with indices of 8 bits, and making one of what Parquet reads takes as long as
    all the rest: half of the time in which a ledger of ten thousand files is read.
    """
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    at = content.find(_ARROW_SCHEMA, max(footer, 0))
    return content if at < 0 else content[:at] + _NO_ARROW_SCHEMA + content[at + len(_ARROW_SCHEMA) :]


def _tables(reader: pq.ParquetFile) -> Iterator[pa.Table]:
    for group in range(reader.num_row_groups):
        yield reader.read_row_group(group, use_threads=False)


def _facts(noted: dict[bytes, bytes] | None, name: str) -> FileFacts:
    noted = noted or {}
    text, folded = noted[_FACTS], noted.get(_FOLDED, b"")
    if _FACTS_DIGEST in noted and noted[_FACTS_DIGEST].decode() != digest_of(text + folded):
        raise ValueError("its facts are not what was written")
    if not folded:
        return FileFacts([(name, BatchFacts(**orjson.loads(text)))])
    listed = orjson.loads(zlib.decompress(b64decode(folded)))
    return FileFacts([(one, BatchFacts(**facts)) for one, facts in listed["batches"]], frozenset(listed["replaces"]))


def digest_of(content: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(content)


def digest_of_file(file: IO[bytes]) -> str:
    """Return the digest of an open file, which is at its beginning before and after."""
    digest = xxhash.xxh3_64()
    while block := file.read(_BLOCK):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


def codes_of(table: pa.Table) -> np.ndarray:
    """Return the codes of the verdicts of rows that `read` read, of one file or of several.

    Raises:
        ValueError, KeyError, pa.ArrowException: they are not what was written.
    """
    if any(table[name].null_count for name in table.schema.names if name != "detail"):
        raise ValueError("a row is without its uuid, hashes or verdict")
    verdicts = table["verdict"].combine_chunks()
    if not pa.types.is_dictionary(verdicts.type):
        verdicts = verdicts.dictionary_encode()
    codes = np.array([_CODES[name] for name in verdicts.dictionary.to_pylist()], dtype=np.int8)
    return codes[verdicts.indices.to_numpy()]


_CODES: Final = {verdict.value: code for verdict, code in CODES.items()}
