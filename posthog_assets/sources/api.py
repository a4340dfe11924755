"""Asking a vendor's export API, politely and until it has answered.

Belongs here: HTTP for exports - rates, waiting, trying again, and bodies as they are delivered. Does not belong here:
any vendor's endpoints, and what a day consists of (each source's own file).

| answer | consequence |
|---|---|
| 200 | the body, streamed |
| 204, or a status in `nothing` | there is nothing |
| a status in `too_much` | `TooMuch`: the source asks for less at a time |
| 401, 403, any other 3xx or 4xx | `SourceRefused`, with the vendor's words |
| 429, 503 with Retry-After | waits as asked, an hour at most; costs no budget |
| 408, 5xx, no answer, a body that stops | tried again with growing pauses, for `retry_seconds` |
"""

from __future__ import annotations

import base64
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import numpy as np
import urllib3
import xxhash

from posthog_assets.errors import BrokenPart, SourceRefused, SourceUnavailable, shorten
from posthog_assets.formats import Compression
from posthog_assets.http import backoff, failure_reason, hidden, parse_retry_after, words
from posthog_assets.machine_files import held

#: No error message is longer.
_WORDS_BYTES: Final = 64 << 10

#: A body must bring at least this much in each `timeout_seconds`, or it counts as stopped.
_SLOWEST: Final = 1 << 10

#: The longest wait one answer may ask for, seconds.
_LONGEST_WAIT: Final = 3600.0

#: A vendor that asks to wait this often in a row is asked again in another run.
_WAITS: Final = 100

#: How often a delivery that cannot be read to its end is fetched anew.
_DELIVERIES: Final = 3

#: Decompressed at once at most, however much is in a block.
_PIECE: Final = 4 << 20

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"

#: A zip without members has only its end.
_EMPTY_ZIP: Final = b"PK\x05\x06"

#: Tests shorten it.
pause: Callable[[float], None] = time.sleep

T = TypeVar("T")


class TooMuch(SourceUnavailable):
    """The vendor cannot deliver this much at a time."""


class Stopped(SourceUnavailable):
    """A body ended, or stood still, before its end."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `requests` in any stretch of `seconds`."""

    requests: int
    seconds: float


@dataclass
class Api:
    """One account at one vendor's API. Its limits hold across all processes of this machine.

    `headers` and `secrets` hold credentials and are never shown; `retry_seconds` is how long failures may go on.
    """

    base: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    limits: tuple[Limit, ...] = ()
    timeout_seconds: float = 300.0
    retry_seconds: float = 900.0

    def __post_init__(self) -> None:
        timeout = urllib3.Timeout(total=None, connect=15, read=self.timeout_seconds)
        self._pool = urllib3.PoolManager(retries=False, timeout=timeout)
        account = xxhash.xxh3_64_hexdigest("\n".join([self.base, *self.secrets]).encode())
        self._rate = Rate(self.limits, Path(tempfile.gettempdir()) / f"posthog-assets-rate-{account}")

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        *,
        fields: Mapping[str, Any] | None = None,
        json: Any = None,
        nothing: frozenset[int] = frozenset(),
        too_much: frozenset[int] = frozenset(),
        too_slow: bool = False,
    ) -> Iterator[Answer | None]:
        """Ask until there is an answer; yields it with its body unread, or None where there is nothing.

        *fields* go into the URL, or into a form where the method is POST.

        Raises:
            SourceRefused: asking again cannot help.
            TooMuch: the vendor answered with a status in *too_much*, or, with *too_slow*, not in `timeout_seconds`.
            SourceUnavailable: there was no answer within `retry_seconds`.
        """
        response = self._answered(method, path, fields, json, nothing | {204}, too_much, too_slow)
        try:
            yield Answer(response, self) if response.status == 200 else None
        finally:
            # Not for reuse: a body that was not read to its end would be taken for the next answer.
            response.close()

    def persist(self, fetch: Callable[[], T]) -> T:
        """Return what *fetch* returns, calling it again where a body stopped or cannot be read to its end.

        Raises:
            BrokenPart: several deliveries in a row could not be read.
            SourceUnavailable: the body kept stopping, for `retry_seconds`.
        """
        began, broken, failures = time.monotonic(), 0, 0
        while True:
            try:
                return fetch()
            except BrokenPart:
                broken += 1
                if broken >= _DELIVERIES:
                    raise
            except Stopped:
                if time.monotonic() - began > self.retry_seconds:
                    raise
            pause(backoff(failures) * 20)
            failures += 1

    def safe(self, text: str) -> str:
        """Return *text* without credentials."""
        return hidden(text.encode(), *self.secrets).decode()

    def _answered(
        self,
        method: str,
        path: str,
        fields: Mapping[str, Any] | None,
        json: Any,
        nothing: frozenset[int],
        too_much: frozenset[int],
        too_slow: bool,
    ) -> urllib3.BaseHTTPResponse:
        spent, failures, waits = 0.0, 0, 0
        while True:
            self._rate.wait()
            began, timed_out = time.monotonic(), False
            try:
                response = self._send(method, path, fields, json)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                timed_out = isinstance(error, urllib3.exceptions.ReadTimeoutError)
                said, asked, status = f"no answer: {failure_reason(error)}", None, 0
            else:
                status = response.status
                if status == 200 or status in nothing:
                    return response
                asked = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
                said = f"HTTP {status}: {words(hidden(self._words(response), *self.secrets))}"
            message = self.safe(shorten(f"{self.base}{path}: {said}", 400))
            if status in too_much or (too_slow and timed_out):
                raise TooMuch(message)
            if status == 429 or (status == 503 and asked is not None):
                waits += 1
                if waits > _WAITS:
                    raise SourceUnavailable(f"{message}, {_WAITS} times in a row")
                pause(min(asked if asked is not None else 5 * 2.0 ** min(waits, 6), _LONGEST_WAIT))
                continue
            if status and status != 408 and status < 500:
                raise SourceRefused(message)
            wait = max(asked or 0.0, backoff(failures) * 20)
            spent += time.monotonic() - began + wait
            if spent > self.retry_seconds:
                raise SourceUnavailable(f"{message}; tried for {self.retry_seconds:.0f} s")
            failures += 1
            pause(min(wait, _LONGEST_WAIT))

    def _send(self, method: str, path: str, fields: Mapping[str, Any] | None, json: Any) -> urllib3.BaseHTTPResponse:
        headers = {"Accept-Encoding": "gzip", "User-Agent": f"posthog-assets/{version('posthog_assets')}"}
        more: dict[str, Any] = {"json": json} if json is not None else {}
        if fields:
            more["fields"] = {key: str(value) for key, value in fields.items()}
        if fields and method == "POST":
            more["encode_multipart"] = False
        return self._pool.request(
            method, self.base + path, headers=headers | dict(self.headers), redirect=False, preload_content=False,
            decode_content=False, **more,
        )  # fmt: skip

    @staticmethod
    def _words(response: urllib3.BaseHTTPResponse) -> bytes:
        try:
            return response.read(_WORDS_BYTES, decode_content=True)
        except (urllib3.exceptions.HTTPError, OSError):
            return b""
        finally:
            response.close()


class Answer:
    """A body as the vendor delivers it: compressed stays compressed, once."""

    def __init__(self, response: urllib3.BaseHTTPResponse, api: Api) -> None:
        self._response = response
        self._api = api
        self.headers = response.headers
        self._began, self._arrived = time.monotonic(), 0
        self._head = b""
        while len(self._head) < 512 and (block := self._block()):
            self._head += block
        # Some servers compress an archive once more on its way.
        self._peeled = self._head[:2] == _GZIP and _inside(self._head)[:2] in (_GZIP, _ZIP[:2])
        #: The first bytes as they are kept, for whoever must tell what they are; empty where the body is.
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
        self._arrived += len(block)
        now = time.monotonic()
        if now - self._began > self._api.timeout_seconds:
            if block and self._arrived < _SLOWEST:
                raise Stopped(f"{self._api.base}: the body came to a standstill")
            self._began, self._arrived = now, 0
        return block


def _inside(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, 64)
    except zlib.error:
        return b""


class Rate:
    """Several limits at once, kept by all processes of this machine that name the same *file*."""

    def __init__(self, limits: tuple[Limit, ...], file: Path) -> None:
        self._limits = limits
        self._file = file

    def wait(self) -> None:
        """Return when a request may leave; raises StorageError where the file cannot be used."""
        if self._limits:
            pause(max(0.0, self._reserve(time.time()) - time.time()))

    def _reserve(self, now: float) -> float:
        longest = max(limit.seconds for limit in self._limits)
        with held(self._file) as file:
            content = file.read()
            taken = np.frombuffer(content[: len(content) // 8 * 8], dtype="<f8")
            # Times too far ahead come from a clock that was set back.
            taken = np.sort(taken[(taken > now - longest) & (taken < now + 2 * longest)])
            start = now
            for limit in self._limits:
                if len(taken) >= limit.requests:
                    start = max(start, float(taken[-limit.requests]) + limit.seconds)
            file.seek(0)
            file.truncate()
            file.write(np.append(taken, start).astype("<f8").tobytes())
        return start


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of HTTP's basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
