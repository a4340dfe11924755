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

from posthog_assets.core.errors import shorten
from posthog_assets.core.http import failure_reason, hidden
from posthog_assets.destination.settings import Destination, Protocol
from posthog_assets.destination.verdicts import Answer, Consequence, judge, no_answer

_PATHS: Final = {Protocol.V1: "/i/v1/analytics/events", Protocol.BATCH: "/batch/"}

#: No answer of PostHog's is longer: 50,000 results of 120 bytes.
_ANSWER_BYTES: Final = 16 << 20

#: Without a version PostHog injects no `$lib`, so that the events keep their own:
#: rust/capture/src/v1/context.rs `sdk_lib_and_version`.
_SDK_INFO: Final = "posthog-assets"


@dataclass(frozen=True, slots=True)
class Request:
    """A batch ready to be sent, any number of times, as the same bytes."""

    protocol: Protocol
    body: bytes = field(repr=False)
    events: int
    raw_bytes: int
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def compressed(protocol: Protocol, body: Iterable[Any], events: int) -> Request:
    """Return a request with *body* gzipped, which comes in pieces (bytes or buffers) that follow one another."""
    gzip, packed, size = isal_zlib.compressobj(1, wbits=31), [], 0
    for piece in body:
        size += len(piece)
        packed.append(gzip.compress(piece))
    packed.append(gzip.flush())
    return Request(protocol, b"".join(packed), events, size)


class CaptureClient:
    """A connection to one PostHog project; closes with its `with` block."""

    def __init__(self, destination: Destination) -> None:
        """Open a client; raises ImportFileError where host or key are missing or malformed."""
        self._host = destination.ingestion_host()
        self.key = destination.write_key()
        self._pool = urllib3.PoolManager(
            # A connection for each lane, kept open.
            maxsize=destination.concurrency,
            retries=False,
            timeout=urllib3.Timeout(total=None, connect=10, read=destination.timeout_seconds),
        )
        self._agent = f"posthog-assets/{version('posthog_assets')}"

    def send(self, request: Request, attempt: int) -> Answer:
        """Send once; *attempt* counts from 1. Never raises for what the network or the server does."""
        now = datetime.now(UTC)
        try:
            response = self._pool.request(
                "POST",
                self._host + _PATHS[request.protocol],
                body=request.body,
                headers=self._headers(request, attempt, now),
                redirect=False,
                preload_content=False,
                decode_content=True,
            )
            try:
                body = hidden(response.read(_ANSWER_BYTES), self.key)
            finally:
                response.release_conn()
        except urllib3.exceptions.LocationValueError as error:
            return Answer(Consequence.STOP, None, f"{self._host} is not a usable host: {error}")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return no_answer(f"no answer from {self._host}: {shorten(failure_reason(error))}")
        return judge(request.protocol, response.status, response.headers, body, now)

    def _headers(self, request: Request, attempt: int, now: datetime) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": self._agent,
        }
        if request.protocol is Protocol.V1:
            headers |= {
                "Authorization": f"Bearer {self.key}",
                "PostHog-Sdk-Info": _SDK_INFO,
                "PostHog-Attempt": str(attempt),
                "PostHog-Request-Id": request.request_id,
                "PostHog-Request-Timestamp": now.isoformat(),
            }
        return headers

    def __enter__(self) -> CaptureClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.clear()
