"""Decompressed blocks of a part, one at a time.

Belongs here: gzip, zstd, bz2, zip and what is broken about them. Does not belong here: records.
"""

from __future__ import annotations

import bz2
import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any, Final, cast

import pyarrow as pa
from isal import igzip, isal_zlib

from posthog_assets.core.errors import BrokenPart, ImportFileError, PosthogAssetsError, SourceUnavailable, shorten
from posthog_assets.core.threads import ahead
from posthog_assets.sources.formats.framing import Compression, Format, Framing, detect

#: The records of one block are made, used and freed before the next: small blocks stay in the processor's caches.
BLOCK: Final = 256 << 10

#: A zip member that unpacks to more than this many times its size is no export but a bomb (JSON packs 10 to 50 times).
_LARGEST_RATIO: Final = 1_000
_RATIO_MATTERS_ABOVE: Final = 100 << 20
_DEEPEST_ZIP: Final = 3

#: A zip's list of members is read into memory, at some ten times its size: 16 MiB name 200,000 members.
_LONGEST_LIST: Final = 16 << 20
_ZIP_END: Final = struct.Struct("<4s4H2LH")
_ZIP64_END: Final = struct.Struct("<4sQ2H2L4Q")

#: What operating systems leave behind in archives and folders; never an export.
_LITTER: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})

#: No text file of ours begins with these.
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"PK\x03\x04", "zip"), (b"PAR1", "parquet"),
    (b"Obj\x01", "avro"),
)  # fmt: skip

_BROKEN: Final[tuple[Any, ...]] = (
    EOFError, OSError, zlib.error, isal_zlib.error, pa.ArrowException, zipfile.BadZipFile, RuntimeError,
)  # fmt: skip


def members(file: IO[bytes], framing: Framing, name: str, depth: int = 1) -> Iterator[tuple[str, IO[bytes], Framing]]:
    """Yield (name, decompressed stream, framing without compression) of a part, or of each member of a zip.

    Raises:
        BrokenPart: the bytes are not what *framing* says, or its members cannot be separated.
    """
    # Closing it leaves *file* open: its owner closes it.
    steady: io.BufferedReader[Any] = io.BufferedReader(_Steady(file, name), 1 << 20)
    if framing.compression is Compression.ZIP:
        yield from _zip_members(steady, framing, name, depth)
    else:
        yield name, _opened(steady, framing, name), framing


def _zip_members(file: IO[bytes], framing: Framing, name: str, depth: int) -> Iterator[tuple[str, IO[bytes], Framing]]:
    if depth > _DEEPEST_ZIP:
        raise BrokenPart(f"{name}: zip in zip in zip, more than {_DEEPEST_ZIP} deep: refused")
    with broken(name):
        _check_list(file, name)
        archive = zipfile.ZipFile(file)
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        base = info.filename.rsplit("/", 1)[-1]
        if info.is_dir() or info.filename.startswith("__MACOSX/") or base in _LITTER:
            continue
        inside = f"{name}!{info.filename}"
        if info.file_size > _LARGEST_RATIO * max(info.compress_size, 1) and info.file_size > _RATIO_MATTERS_ABOVE:
            raise BrokenPart(f"{inside} would unpack to {info.file_size:,} bytes from {info.compress_size:,}: refused")
        inner = _inner_framing(info.filename, framing, name)
        with broken(inside), archive.open(info) as member:
            stream = io.BufferedReader(cast(Any, member), 1 << 20)
            if inner.compression is Compression.ZIP:
                with seekable(stream) as copy:
                    yield from members(copy, inner, inside, depth + 1)
            else:
                yield inside, cast("IO[bytes]", _Metered(_opened(stream, inner, inside), info, inside)), inner


def _check_list(file: IO[bytes], name: str) -> None:
    """Refuse a zip whose list of members would fill the memory; what is no zip fails when it is read."""
    tail = max(0, file.seek(0, io.SEEK_END) - (64 << 10) - 200)
    file.seek(tail)
    end = file.read()
    at = end.rfind(b"PK\x05\x06")
    length = _ZIP_END.unpack_from(end, at)[5] if 0 <= at <= len(end) - _ZIP_END.size else 0
    at = end.rfind(b"PK\x06\x06", 0, at)
    if length == 0xFFFFFFFF and 0 <= at <= len(end) - _ZIP64_END.size:
        length = _ZIP64_END.unpack_from(end, at)[8]
    if length > _LONGEST_LIST:
        raise BrokenPart(f"{name}: its list of members is {length:,} bytes long, no export has that many: refused")
    file.seek(0)


class _Metered:
    """A member's content, refused as a bomb where it unpacks too far: compressed twice, it may a million times."""

    def __init__(self, stream: IO[bytes], info: zipfile.ZipInfo, name: str) -> None:
        self._stream = stream
        self._name = name
        self._packed = info.compress_size
        self._left = max(_LARGEST_RATIO * info.compress_size, _RATIO_MATTERS_ABOVE)

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BrokenPart(
                f"{self._name} unpacks to more than {_LARGEST_RATIO:,} times its {self._packed:,} bytes: refused"
            )
        return data


def _inner_framing(member: str, framing: Framing, name: str) -> Framing:
    """Return how a member reads: as its name or the settings say, else as the zip's own name does (`x.csv.zip`)."""
    options: dict[str, Any] = {
        "delimiter": framing.delimiter if framing.delimiter != "," else None,
        "encoding": framing.encoding,
        "quote": framing.quote,
        "columns": framing.columns,
    }
    try:
        found = detect(member, framing.format, **options)
    except ImportFileError as error:
        try:
            found = detect(name.removesuffix(".zip"), None, "none", **options)
        except ImportFileError:
            raise BrokenPart(
                f"{name}!{member}: neither the member's name nor the zip's tells the format; set source.format"
            ) from error
    return replace(found, unfold=framing.unfold)


def _opened(file: io.BufferedReader[Any], framing: Framing, name: str) -> IO[bytes]:
    head = file.peek(16)[:16]
    if (framing.format, head[:4]) in ((Format.PARQUET, b"PAR1"), (Format.AVRO, b"Obj\x01")):
        # `.parquet.zst`, as PostHog's own batch exports are named, is Parquet whose columns are compressed inside.
        return file
    if framing.compression is Compression.NONE:
        _check_is_plain(head, framing, name)
        return file
    if not head:
        raise BrokenPart(f"{name} is empty: 0 bytes are no {framing.compression} file")
    if framing.compression is Compression.GZIP:
        if head[:2] != b"\x1f\x8b":
            raise BrokenPart(
                f"{name} is not gzip: it starts with {head!r}; if it is plain, set source.compression: none"
            )
        return cast("IO[bytes]", igzip.IGzipFile(fileobj=cast(Any, file), mode="rb"))
    if framing.compression is Compression.BZ2:
        return cast("IO[bytes]", io.BufferedReader(_Bz2(file), BLOCK))
    # Arrow's reader takes frame after frame and says when one ends early; zstandard's own does not.
    with broken(name):
        return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))


class _Bz2(io.RawIOBase):
    """Decompresses stream after stream; `bz2.BZ2File` would silently end where what follows one is no bz2."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream = bz2.BZ2Decompressor()
        self._started = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._stream.eof:
                rest, self._started = self._stream.unused_data, False
                self._stream = bz2.BZ2Decompressor()
            else:
                rest = b""
            data = (rest or self._file.read(BLOCK)) if self._stream.needs_input else b""
            if self._stream.needs_input and not data:
                if self._started:
                    raise EOFError("the bz2 stream ends early")
                return 0
            self._started = True
            piece = self._stream.decompress(data, len(buffer))
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)


def _check_is_plain(head: bytes, framing: Framing, name: str) -> None:
    if framing.format is Format.PARQUET:
        return
    for magic, kind in _MAGIC:
        if head.startswith(magic) and kind != framing.format:
            setting = "format" if kind in ("parquet", "avro") else "compression"
            raise BrokenPart(f"{name} is {kind}, not plain {framing.format}; set source.{setting}: {kind}")


class _Steady(io.RawIOBase):
    """The file as it comes; what goes wrong with reading it is the store's fault and not a broken part."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except PosthogAssetsError:
            raise
        except Exception as error:
            raise SourceUnavailable(f"{self._name} could not be read: {shorten(str(error))}") from error
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        # Zip and Parquet ask for places that a damaged file does not have: that is the file's fault.
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def blocks(stream: IO[bytes], name: str, size: int = BLOCK) -> Iterator[bytes]:
    """Yield a stream in blocks of *size* bytes, the next one decompressed on a thread while the last one is used."""
    return ahead(blocks_here(stream, name, size), "decompress")


def blocks_here(stream: IO[bytes], name: str, size: int = BLOCK) -> Iterator[bytes]:
    """Yield what `blocks` does, decompressed on this thread.

    Where little is done with a block it is still in this core's cache, and handing it over would cost more than that.
    """
    done = 0
    while True:
        with broken(name, done):
            block = stream.read(size)
        if not block:
            return
        done += len(block)
        yield block


def text_blocks(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield the blocks of UTF-8 text without its byte order mark; raises BrokenPart where it is UTF-16."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= 3:
            break
    if head.startswith(b"\x1f\x8b"):
        raise BrokenPart(f"{name} is compressed twice: under its gzip is another one; unpack it once")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BrokenPart(f"{name} is UTF-16 text; JSON is read as UTF-8: convert it first (iconv -f UTF-16 -t UTF-8)")
    yield head.removeprefix(b"\xef\xbb\xbf")
    yield from blocks


def seekable(stream: IO[bytes]) -> IO[bytes]:
    """Return *stream*, or a copy of its rest on disk where jumping about in it is impossible or slow."""
    if isinstance(stream, io.BufferedReader) and isinstance(stream.raw, _Steady) and stream.seekable():
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    while block := stream.read(BLOCK):
        copy.write(block)
    copy.seek(0)
    return copy


class broken:  # noqa: N801 - reads like a function: `with broken(name)`
    """Turns what a decompressor raises into `BrokenPart`, which names the part and the place."""

    def __init__(self, name: str, done: int = 0) -> None:
        self._name = name
        self._done = done

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _BROKEN):
            where = f" after {self._done:,} bytes of content" if self._done else ""
            words = shorten(str(error) or type(error).__name__)
            raise BrokenPart(f"{self._name} cannot be read{where}: {words}") from error
