"""One batch, one HTTP request, one answer.

Belongs here: the connection, headers and bounded reads. Does not belong here: what an answer leads to
(`verdicts`, `delivery`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

import urllib3
from isal import isal_zlib

from posthog_assets.core.deadlines import pool, read_body
from posthog_assets.core.errors import shorten
from posthog_assets.core.http import failure_reason
from posthog_assets.destination.settings import Destination, Protocol
from posthog_assets.destination.verdicts import Answer, Consequence, judge, no_answer

_PATHS: Final = {Protocol.V1: "/i/v1/analytics/events", Protocol.BATCH: "/batch/"}

#: No answer of PostHog's is longer: 50,000 results of 120 bytes.
_ANSWER_BYTES: Final = 16 << 20

#: Without a version PostHog injects no `$lib`, so that the events keep their own:
#: rust/capture/src/v1/context.rs `sdk_lib_and_version`.
_SDK_INFO: Final = "posthog-assets"


@dataclass(slots=True)
class Origin:
    """What stays the same when a batch, or what PostHog did not take of it, is sent again: its clients' contract."""

    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    #: UTC.
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    #: How often it was sent.
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A batch ready to be sent, any number of times, as the same bytes."""

    protocol: Protocol
    body: bytes = field(repr=False)
    events: int
    raw_bytes: int
    origin: Origin = field(default_factory=Origin)

    @property
    def request_id(self) -> str:
        return self.origin.request_id


def compressed(protocol: Protocol, body: Iterable[Any], events: int, origin: Origin | None = None) -> Request:
    """Return a request with *body* gzipped, which comes in pieces (bytes or buffers) that follow one another."""
    gzip, packed, size = isal_zlib.compressobj(1, wbits=31), [], 0
    for piece in body:
        size += len(piece)
        packed.append(gzip.compress(piece))
    packed.append(gzip.flush())
    return Request(protocol, b"".join(packed), events, size, origin or Origin())


class CaptureClient:
    """A connection to one PostHog project; closes with its `with` block."""

    def __init__(self, destination: Destination) -> None:
        """Open a client; raises ImportFileError where host or key are missing or malformed."""
        self._host = destination.ingestion_host()
        self.key = destination.write_key()
        self._seconds = destination.timeout_seconds
        # A connection for each lane, kept open.
        self._pool = pool(self._seconds, connections=destination.concurrency)
        self._agent = f"posthog-assets/{version('posthog_assets')}"

    def send(self, request: Request) -> Answer:
        """Send once, and count it. Never raises for what the network or the server does."""
        now = datetime.now(UTC)
        request.origin.attempts += 1
        try:
            response = self._pool.request(
                "POST",
                self._host + _PATHS[request.protocol],
                body=request.body,
                headers=self._headers(request, now),
                redirect=False,
                preload_content=False,
                decode_content=True,
            )
            try:
                # No answer is so long that it takes longer to come than to be made.
                body = read_body(response, _ANSWER_BYTES, self._seconds, slowest=0)
            finally:
                response.release_conn()
        except urllib3.exceptions.LocationValueError as error:
            return Answer(Consequence.STOP, None, f"{self._host} is not a usable host: {error}")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return no_answer(f"no answer from {self._host}: {shorten(failure_reason(error))}")
        return judge(request.protocol, response.status, response.headers, body, now, self.key)

    def _headers(self, request: Request, now: datetime) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": self._agent,
        }
        if request.protocol is Protocol.V1:
            headers |= {
                "Authorization": f"Bearer {self.key}",
                "PostHog-Sdk-Info": _SDK_INFO,
                "PostHog-Attempt": str(request.origin.attempts),
                "PostHog-Request-Id": request.request_id,
                "PostHog-Request-Timestamp": now.isoformat(),
            }
        return headers

    def __enter__(self) -> CaptureClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.clear()
