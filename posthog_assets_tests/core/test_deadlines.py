"""Answers are whole by a certain time, however they trickle in."""

from __future__ import annotations

import gzip
import io
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

from posthog_assets.core.deadlines import pool, read_body


def answer(body: bytes, **headers: str) -> urllib3.HTTPResponse:
    return urllib3.HTTPResponse(io.BytesIO(body), headers=headers, preload_content=False)


class Trickle(io.RawIOBase):
    """A body of which each read brings a few bytes after a pause."""

    def __init__(self, pieces: Iterator[bytes], seconds: float) -> None:
        self._pieces = pieces
        self._seconds = seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        time.sleep(self._seconds)
        piece = next(self._pieces, b"")
        buffer[: len(piece)] = piece
        return len(piece)


def trickle(pieces: Iterator[bytes], seconds: float = 0.02) -> urllib3.HTTPResponse:
    return urllib3.HTTPResponse(io.BufferedReader(Trickle(pieces, seconds)), preload_content=False)  # type: ignore[type-var]


@pytest.mark.parametrize("most", [0, 1, 4_999, 5_000, 5_001])
def test_no_more_is_read_than_wanted(most: int) -> None:
    body = bytes(range(250)) * 20
    assert read_body(answer(body), most, 5) == body[:most]


@pytest.mark.parametrize("most", [3, 100_000])
def test_a_packed_body_is_unpacked_and_no_more_of_it_than_wanted(most: int) -> None:
    packed = gzip.compress(b"x" * 100_000)
    assert read_body(answer(packed, **{"Content-Encoding": "gzip"}), most, 5) == b"x" * most


def test_a_body_may_take_long_while_it_brings_enough() -> None:
    pieces = itertools.repeat(b"x" * 100, 10)
    assert read_body(trickle(pieces), 10_000, seconds=0.05, slowest=100) == b"x" * 1_000


@pytest.mark.parametrize("slowest", [0, 1_000])
def test_a_body_that_brings_too_little_is_given_up(slowest: int) -> None:
    with pytest.raises(TimeoutError, match="the answer came too slowly: .* bytes, not its end, within 0.05 s"):
        read_body(trickle(itertools.repeat(b"x")), 10_000, seconds=0.05, slowest=slowest)


@contextmanager
def heads(pieces: Iterator[bytes]) -> Iterator[str]:
    """A server that answers with *pieces*, one every 20 ms."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer:
            peer.recv(1 << 16)
            try:
                for piece in pieces:
                    peer.sendall(piece)
                    time.sleep(0.02)
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.close()
        thread.join(5)


def test_headers_that_never_end_are_given_up_although_they_keep_coming() -> None:
    endless = itertools.chain([b"HTTP/1.1 200 OK\r\n"], (b"X-%d: 1\r\n" % number for number in range(500)))
    began = time.monotonic()
    with heads(endless) as url, pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool(0.2).request("GET", url, preload_content=False)
    assert time.monotonic() - began < 5


def test_headers_that_come_in_pieces_in_time_are_read() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with heads(iter([whole[:10], whole[10:30], whole[30:]])) as url:
        response = pool(5).request("GET", url, preload_content=False)
        assert (response.status, read_body(response, 100, 5)) == (200, b"ok")
