"""Decompressed blocks of a part, one at a time.

Belongs here: gzip, zstd, bz2, zip and what is broken about them. Does not belong here: records.
"""

from __future__ import annotations

import bz2
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Final, TypeVar

import zstandard
from isal import igzip, isal_zlib

from posthog_assets.errors import BrokenPart, shorten
from posthog_assets.formats.framing import Compression, Framing, detect

BLOCK: Final = 4 << 20

#: A zip member that unpacks to more than this many times its size is no export but a bomb.
_LARGEST_RATIO: Final = 1_000

# isal types its error as an instance.
_BROKEN: Final[tuple[type[BaseException], ...]] = (  # type: ignore[assignment]
    EOFError, OSError, zlib.error, isal_zlib.error, zstandard.ZstdError, zipfile.BadZipFile, RuntimeError,
)  # fmt: skip

T = TypeVar("T")


def members(file: IO[bytes], framing: Framing, name: str) -> Iterator[tuple[str, IO[bytes], Framing]]:
    """Yield (name, decompressed stream, framing without compression) of a part, or of each member of a zip."""
    if framing.compression is not Compression.ZIP:
        yield name, _opened(file, framing.compression), framing
        return
    with broken(name):
        archive = zipfile.ZipFile(file)
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        if info.is_dir() or info.filename.startswith("__MACOSX/"):
            continue
        inside = f"{name}!{info.filename}"
        if info.file_size > _LARGEST_RATIO * max(info.compress_size, 1) and info.file_size > 100 << 20:
            raise BrokenPart(f"{inside} would unpack to {info.file_size:,} bytes from {info.compress_size:,}: refused")
        inner = detect(
            info.filename, framing.format, delimiter=framing.delimiter if framing.delimiter != "," else None,
            encoding=framing.encoding, quote=framing.quote,
        )  # fmt: skip
        with broken(inside), archive.open(info) as member:
            yield inside, _opened(member, inner.compression), inner


def _opened(file: IO[bytes], compression: Compression) -> IO[bytes]:
    if compression is Compression.GZIP:
        return igzip.IGzipFile(fileobj=file, mode="rb")  # type: ignore[return-value]
    if compression is Compression.ZSTD:
        return _Zstd(file)  # type: ignore[return-value]
    if compression is Compression.BZ2:
        return bz2.BZ2File(file)  # type: ignore[return-value]
    return file


class _Zstd:
    """Decompresses consecutive frames, and notices one that ends early (the library's own reader does not)."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._rest = b""
        self._ready = b""
        self._started = False

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._ready) < size:
            if not self._more():
                break
        if size < 0:
            size = len(self._ready)
        content, self._ready = self._ready[:size], self._ready[size:]
        return content

    def _more(self) -> bool:
        """Decompress some more; False at the end."""
        data = self._rest or self._file.read(1 << 20)
        self._rest = b""
        if not data:
            if self._started:
                raise EOFError("the zstd frame ends early")
            return False
        if self._frame.eof:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._started = True
        self._ready += self._frame.decompress(data)
        if self._frame.eof:
            self._rest, self._started = self._frame.unused_data, False
        return True


def blocks(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """Yield a stream in blocks, the next one decompressed on a thread while the last one is worked on."""
    with ThreadPoolExecutor(1, "decompress") as pool:
        ahead = pool.submit(stream.read, BLOCK)
        done = 0
        while True:
            with broken(name, done):
                block = ahead.result()
            if not block:
                return
            done += len(block)
            ahead = pool.submit(stream.read, BLOCK)
            yield block


class broken:
    """Turns what a decompressor raises into `BrokenPart`, which names the part and the place."""

    def __init__(self, name: str, done: int = 0) -> None:
        self._name = name
        self._done = done

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _BROKEN) and not isinstance(error, BrokenPart):
            where = f" after {self._done:,} bytes of content" if self._done else ""
            raise BrokenPart(
                f"{self._name} cannot be read{where}: {shorten(str(error) or type(error).__name__)}"
            ) from error
