"""HTTP answers that must be whole by a certain time, however they trickle in.

Belongs here: connections that give up a head that does not end, and reading a body against the clock. Does not belong
here: what follows from an answer that did not come.

A read timeout of a socket begins again with each byte that arrives: a server that sends one every half second is never
given up by it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

#: A body must bring at least this much in each `read` timeout, or it counts as stopped.
SLOWEST: Final = 1 << 10

_PIECE: Final = 1 << 20


class _WholeHead:
    """Makes the read timeout count for the whole head of an answer: status line and headers."""

    timeout: Any
    sock: Any

    def getresponse(self) -> Any:
        seconds, sock, late = self.timeout, self.sock, threading.Event()
        if not isinstance(seconds, int | float) or sock is None:
            return super().getresponse()  # type: ignore[misc]

        def cut() -> None:
            late.set()
            with contextlib.suppress(OSError):
                # Not the method of a TLS socket, which would take its state from under the reading thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()  # type: ignore[misc]
        except Exception:
            if not late.is_set():
                raise
        else:
            # A head that is cut off looks as if it ended.
            if not late.is_set():
                return response
            response.close()
        finally:
            timer.cancel()
        raise TimeoutError(f"the headers of the answer did not end within {seconds:g} s")


class _Connection(_WholeHead, HTTPConnection):
    pass


class _SecureConnection(_WholeHead, HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def pool(read_seconds: float, connect_seconds: float = 10, connections: int = 1) -> urllib3.PoolManager:
    """Return a pool without retries whose answers must have their whole head after *read_seconds*."""
    manager = urllib3.PoolManager(
        maxsize=connections,
        retries=False,
        timeout=urllib3.Timeout(total=None, connect=connect_seconds, read=read_seconds),
    )
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


def read_body(response: urllib3.BaseHTTPResponse, most_bytes: int, seconds: float, slowest: int = SLOWEST) -> bytes:
    """Return the body of an answer, decompressed and at most *most_bytes* of it.

    It may take as long as it brings *slowest* bytes in every *seconds*; 0 means that all of it must come in that time.

    Raises:
        TimeoutError: it came too slowly. The connection must not be used again.
    """
    pieces, size, window, arrived = [], 0, time.monotonic(), 0
    while size < most_bytes and (piece := response.read1(min(_PIECE, most_bytes - size), decode_content=True)):
        pieces.append(piece)
        size += len(piece)
        arrived += len(piece)
        if time.monotonic() - window > seconds:
            if not slowest or arrived < slowest:
                response.close()
                raise TimeoutError(f"the answer came too slowly: {size:,} bytes, not its end, within {seconds:g} s")
            window, arrived = time.monotonic(), 0
    return b"".join(pieces)
