"""One answer of an HTTP API, read to its end.

Belongs here: the body, and whether it arrived whole. Does not belong here: when to send a request again (`api`).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Final

import urllib3

from posthog_assets.core.errors import BrokenPart, SourceRefused, SourceUnavailable
from posthog_assets.core.http import failure_reason
from posthog_assets.sources.formats import Compression

if TYPE_CHECKING:
    from posthog_assets.sources.http.api import Api


#: A body must bring at least this much in each `timeout_seconds`, or it counts as stopped.
SLOWEST: Final = 1 << 10


#: Decompressed at once at most, however much is in a block.
_PIECE: Final = 4 << 20


_GZIP: Final = b"\x1f\x8b"


_ZIP: Final = b"PK\x03\x04"


#: A zip without members has only its end.
_EMPTY_ZIP: Final = b"PK\x05\x06"


class Stopped(SourceUnavailable):
    """A body ended, or stood still, before its end."""


class Answer:
    """A body as the vendor delivers it: compressed stays compressed, once."""

    def __init__(self, response: urllib3.BaseHTTPResponse, api: Api) -> None:
        self._response = response
        self._api = api
        self.headers = response.headers
        self.status = response.status
        self._began, self._arrived = time.monotonic(), 0
        self._head = b""
        #: Whether the body has come to its end.
        self.is_read = False
        while len(self._head) < 512 and (block := self._block()):
            self._head += block
        # Some servers compress an archive once more on its way.
        self._peeled = self._head[:2] == _GZIP and _inside(self._head)[:2] in (_GZIP, _ZIP[:2])
        #: The first bytes as they are kept, so that their format can be detected; empty where the body is.
        self.start = _inside(self._head) if self._peeled else self._head
        self.compression = (
            Compression.GZIP if self.start[:2] == _GZIP
            else Compression.ZIP if self.start[:4] in (_ZIP, _EMPTY_ZIP)
            else Compression.NONE
        )  # fmt: skip

    def copy(self, sink: IO[bytes], most_bytes: int | None = None) -> int:
        """Write the body; returns its bytes.

        Raises:
            SourceUnavailable: it stopped before its end.
            SourceRefused: it is larger than *most_bytes*.
        """
        done = 0
        for block in self._peel() if self._peeled else self._blocks():
            done += len(block)
            if most_bytes is not None and done > most_bytes:
                raise SourceRefused(f"{self._api.base} delivers more than {most_bytes:,} bytes at once: refused")
            sink.write(block)
        return done

    def read(self, most_bytes: int) -> bytes:
        """Return the whole body, decompressed; raises like `copy`."""
        body = b"".join(self._peel() if self._peeled else self._blocks())
        try:
            stream = zlib.decompressobj(31) if self.compression is Compression.GZIP else None
            text = stream.decompress(body, most_bytes + 1) if stream else body
        except zlib.error as error:
            raise Stopped(f"{self._api.base}: the answer cannot be decompressed: {error}") from error
        if stream and len(text) <= most_bytes and not stream.eof:
            raise Stopped(f"{self._api.base}: the answer ends early")
        if len(text) > most_bytes:
            raise SourceRefused(f"{self._api.base} answers with more than {most_bytes:,} bytes: refused")
        return text

    def _blocks(self) -> Iterator[bytes]:
        yield self._head
        while block := self._block():
            yield block

    def _peel(self) -> Iterator[bytes]:
        stream = zlib.decompressobj(31)
        try:
            for block in self._blocks():
                yield stream.decompress(block, _PIECE)
                while stream.unconsumed_tail:
                    yield stream.decompress(stream.unconsumed_tail, _PIECE)
        except zlib.error as error:
            raise BrokenPart(f"{self._api.base}: the body is no gzip: {error}") from error
        if not stream.eof:
            raise BrokenPart(f"{self._api.base}: the body ends early")

    def _block(self) -> bytes:
        try:
            # read1: what has arrived, so that a body that trickles is noticed.
            block = self._response.read1(1 << 20, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Stopped(self._api.safe(f"{self._api.base}: the body stopped: {failure_reason(error)}")) from error
        self.is_read = not block
        self._arrived += len(block)
        now = time.monotonic()
        if now - self._began > self._api.timeout_seconds:
            if block and self._arrived < SLOWEST:
                raise Stopped(f"{self._api.base}: the body came to a standstill")
            self._began, self._arrived = now, 0
        return block


def _inside(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, 64)
    except zlib.error:
        return b""
