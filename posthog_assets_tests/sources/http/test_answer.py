"""A body, as it arrives and as it is kept."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest

from posthog_assets.core.errors import BrokenPart, SourceRefused
from posthog_assets.sources.formats import Compression
from posthog_assets.sources.http.answer import Answer, Stopped
from posthog_assets.sources.http.api import Api
from posthog_assets_tests.sources.formats.reading import zipped

LINES = b'{"n":1}\n' * 1000
API = Api("http://127.0.0.1:9", timeout_seconds=5)


class Body:
    """A response of urllib3 that brings a body in pieces, and then perhaps an error."""

    status = 200

    def __init__(self, body: bytes, size: int = 100, error: Exception | None = None) -> None:
        self.headers: dict[str, str] = {}
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]
        self._error = error

    def read1(self, amount: int, decode_content: bool) -> bytes:
        assert decode_content is False
        if self._pieces:
            return self._pieces.pop(0)
        if self._error is not None:
            raise self._error
        return b""


def answer(body: bytes, **options: Any) -> Answer:
    response: Any = Body(body, **options)
    return Answer(response, API)


def copied(one: Answer) -> bytes:
    sink = io.BytesIO()
    assert one.copy(sink) == len(sink.getvalue())
    return sink.getvalue()


@pytest.mark.parametrize(
    ("body", "kept", "compression"),
    [
        (LINES, LINES, Compression.NONE),
        (gzip.compress(LINES, mtime=0), gzip.compress(LINES, mtime=0), Compression.GZIP),
        (gzip.compress(gzip.compress(LINES, mtime=0)), gzip.compress(LINES, mtime=0), Compression.GZIP),
        (b"", b"", Compression.NONE),
        (b"PK\x05\x06" + b"\0" * 18, b"PK\x05\x06" + b"\0" * 18, Compression.ZIP),
    ],
    ids=["plain", "gzip", "gzip twice", "empty", "empty zip"],
)
def test_a_body_is_kept_compressed_once_at_most(body: bytes, kept: bytes, compression: Compression) -> None:
    one = answer(body)
    assert one.compression is compression
    assert one.start == kept[: len(one.start)]
    assert copied(one) == kept
    assert one.is_read


def test_an_archive_that_was_compressed_on_its_way_is_an_archive() -> None:
    archive = zipped(LINES)
    one = answer(gzip.compress(archive))
    assert (one.compression, copied(one)) == (Compression.ZIP, archive)


def test_a_whole_body_is_read_decompressed() -> None:
    assert answer(gzip.compress(LINES)).read(10_000) == LINES
    assert answer(LINES).read(10_000) == LINES


@pytest.mark.parametrize("body", [LINES, gzip.compress(LINES)])
def test_more_than_is_allowed_is_refused_however_small_it_arrives(body: bytes) -> None:
    with pytest.raises(SourceRefused, match="answers with more than 7,999 bytes: refused"):
        answer(body).read(7_999)
    with pytest.raises(SourceRefused, match="delivers more than 20 bytes at once: refused"):
        answer(body).copy(io.BytesIO(), 20)


def test_a_gzip_that_ends_early_is_asked_for_again() -> None:
    with pytest.raises(Stopped, match="the answer ends early"):
        answer(gzip.compress(LINES)[:-9]).read(10_000)
    with pytest.raises(BrokenPart, match="the body ends early"):
        copied(answer(gzip.compress(gzip.compress(LINES))[:-9]))


def test_a_body_that_stops_says_why() -> None:
    with pytest.raises(Stopped, match="http://127.0.0.1:9: the body stopped: "):
        copied(answer(LINES, error=ConnectionResetError("reset")))


def test_what_only_begins_like_a_gzip_is_kept_as_it_is() -> None:
    assert copied(answer(b"\x1f\x8bno gzip")) == b"\x1f\x8bno gzip"
