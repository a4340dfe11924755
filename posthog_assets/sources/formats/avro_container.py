"""Avro object container files: a header, then blocks of records, each with a mark behind it.

Belongs here: taking a container apart, and putting one together. Does not belong here: records (`avro`).
The rules: https://avro.apache.org/docs/1.12.0/specification/#object-container-files

fastavro reads containers too. But it takes a file that breaks off within the count of a block for one that ends there,
overlooks Snappy's checksums, trusts a damaged length, and must decompress a block to count it.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from isal import isal_zlib

from posthog_assets.core.errors import BrokenPart, shorten

MAGIC: Final = b"Obj\x01"
#: Bytes of the mark that tells where a block ends.
MARK: Final = 16

#: A block, packed or not, is held in memory; writers end one after 16 KB to some MB.
_LARGEST: Final = 256 << 20

#: So many records may have no bytes, as one of no fields has; a block that says it has more is refused.
_WITHOUT_BYTES: Final = 1_000

_BROKEN: Final[tuple[Any, ...]] = (
    EOFError, OSError, ValueError, isal_zlib.error, lzma.LZMAError, pa.ArrowException,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """So many records one after the other; `content` still has to be decompressed (`Container.unpacked`)."""

    count: int
    content: bytes


class Container:
    """Iterates over the blocks of a file; `schema` is the text of its schema, in JSON."""

    def __init__(self, pieces: Iterator[bytes], name: str) -> None:
        """Read the header; raises BrokenPart where there is none, or its codec is unknown."""
        self._name = name
        self._input = _Input(pieces, name)
        magic = self._input.up_to(len(MAGIC))
        if magic != MAGIC:
            raise BrokenPart(f"{name} is no Avro file: it starts with {magic!r}")
        self._input.place = "in its header"
        about = dict(self._metadata())
        self._mark = self._input.take(MARK)
        self.schema = about.get("avro.schema", b"")
        codec = about.get("avro.codec", b"null").decode("utf-8", "replace")
        if codec not in _CODECS:
            raise BrokenPart(f"{name}: its codec {shorten(codec)!r} is none of {', '.join(_CODECS)}")
        self._unpack = _CODECS[codec]

    def _metadata(self) -> Iterator[tuple[str, bytes]]:
        while count := self._input.number():
            if count < 0:
                # Its size follows, so that it can be skipped.
                self._input.number()
            for _ in range(abs(count)):
                key = self._input.take(self._input.number())
                yield key.decode("utf-8", "replace"), self._input.take(self._input.number())

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks whose mark stands behind them; raises BrokenPart."""
        number = 0
        while not self._input.at_end:
            number += 1
            self._input.place = f"inside block {number}"
            count = self._input.number()
            content = self._input.take(self._input.number())
            if count < 0 or self._input.take(MARK) != self._mark:
                raise BrokenPart(f"{self._name}: block {number} is damaged: its end is not where it should be")
            yield Block(count, content)

    def unpacked(self, block: Block) -> bytes:
        """Return the records of a block, decompressed; raises BrokenPart, also where its bytes are far too few."""
        try:
            content = self._unpack(block.content)
        except _BROKEN as error:
            words = shorten(str(error) or type(error).__name__)
            raise BrokenPart(f"{self._name}: a block cannot be decompressed: {words}") from error
        if block.count > len(content) + _WITHOUT_BYTES:
            raise BrokenPart(f"{self._name}: a block says {block.count:,} records in {len(content):,} bytes: refused")
        return content


class _Input:
    """Takes so many bytes at a time off pieces of any size; `place` says where in the file that is."""

    def __init__(self, pieces: Iterator[bytes], name: str) -> None:
        self._pieces = pieces
        self._name = name
        self._piece = b""
        self._at = 0
        self.place = ""

    @property
    def at_end(self) -> bool:
        while self._at == len(self._piece):
            following = next(self._pieces, None)
            if following is None:
                return True
            self._piece, self._at = following, 0
        return False

    def up_to(self, size: int) -> bytes:
        """Return the next *size* bytes, or what there is of them."""
        found: list[bytes] = []
        while size and not self.at_end:
            found.append(self._piece[self._at : self._at + size])
            self._at += len(found[-1])
            size -= len(found[-1])
        return b"".join(found)

    def take(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST:
            raise BrokenPart(f"{self._name} is damaged {self.place}: {size:,} bytes are to follow, no file has that")
        found = self.up_to(size)
        if len(found) < size:
            raise BrokenPart(f"{self._name}: the file ends {self.place}")
        return found

    def number(self) -> int:
        """Return the next whole number: seven bits a byte, the lowest first, the sign in the lowest bit."""
        value = shift = 0
        while shift < 70:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7
        raise BrokenPart(f"{self._name} is damaged {self.place}: a number there has no end")


def avro_header(schema: bytes, codec: str, mark: bytes) -> bytes:
    """Return the beginning of a container; *mark* are 16 bytes, to be given to its blocks too."""
    about = {b"avro.schema": schema, b"avro.codec": codec.encode()}
    members = b"".join(_sized(text) for pair in about.items() for text in pair)
    return MAGIC + _number(len(about)) + members + _number(0) + mark


def avro_block(count: int, content: bytes, mark: bytes) -> bytes:
    """Return a block of *count* records, compressed as the header says."""
    return _number(count) + _sized(content) + mark


def _number(value: int) -> bytes:
    """Return a whole number of 64 bits as Avro writes it."""
    rest = value << 1 ^ value >> 63
    written = bytearray()
    while rest >= 0x80:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def _sized(content: bytes) -> bytes:
    return _number(len(content)) + content


def _whole(make: Callable[[], Any]) -> Callable[[bytes], bytes]:
    """Return a function that decompresses one stream, which must end where the block does."""

    def unpack(content: bytes) -> bytes:
        stream = make()
        data: bytes = stream.decompress(content, _LARGEST + 1)
        _check_size(len(data))
        if not stream.eof:
            raise EOFError("it ends early")
        return data

    return unpack


def _zstandard(content: bytes) -> bytes:
    # Arrow's reader says when a frame ends early; zstandard's own does not.
    with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
        data = bytearray()
        while piece := stream.read(1 << 20):
            data += piece
            _check_size(len(data))
    return bytes(data)


def _snappy(content: bytes) -> bytes:
    packed, checksum = content[:-4], content[-4:]
    size = shift = 0
    # Raw Snappy begins with the size of what it holds, seven bits a byte.
    for byte in packed[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    _check_size(size)
    data: bytes = pa.decompress(packed, decompressed_size=size, codec="snappy", asbytes=True)
    if zlib.crc32(data) != int.from_bytes(checksum, "big"):
        raise ValueError("its checksum is another one")
    return data


def _check_size(size: int) -> None:
    if size > _LARGEST:
        raise ValueError(f"it holds more than {_LARGEST >> 20} MiB: refused")


_CODECS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "null": bytes,
    "deflate": _whole(lambda: isal_zlib.decompressobj(-15)),
    "snappy": _snappy,
    "zstandard": _zstandard,
    "bzip2": _whole(bz2.BZ2Decompressor),
    "xz": _whole(lzma.LZMADecompressor),
}
