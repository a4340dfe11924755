"""What goes wrong below HTTP is said in words, not in the names of a library's classes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
import urllib3
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError

from posthog_assets.core.deadlines import pool, read_body
from posthog_assets.core.http import failure_reason


def served(answer: Callable[[socket.socket], object]) -> str:
    """Return the address of a server that takes one connection and does *answer* with it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            connection.recv(1000)
            answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def why(url: str) -> str:
    with pytest.raises((urllib3.exceptions.HTTPError, OSError)) as caught:
        read_body(pool(0.3).request("GET", url, preload_content=False), 100, 1)
    return failure_reason(caught.value)


def test_a_closed_port() -> None:
    assert why("http://127.0.0.1:9/") == "no connection: Connection refused"


def test_a_server_that_is_silent() -> None:
    held = threading.Event()
    assert why(f"http://{served(lambda connection: held.wait(5))}/") == (
        "it accepted the connection, and did not answer in time"
    )
    held.set()


def test_a_server_that_hangs_up() -> None:
    words = why(f"http://{served(lambda connection: connection.shutdown(socket.SHUT_RDWR))}/")
    assert words.startswith("the connection broke: ")


def test_a_server_that_speaks_no_tls() -> None:
    words = why(f"https://{served(lambda connection: connection.sendall(b'HTTP/1.1 400 Bad' + bytes(4)))}/")
    assert words.startswith("no secure connection: ")


def test_a_name_that_does_not_exist_and_a_host_that_does_not_accept() -> None:
    unknown = NameResolutionError("eu.posthog.example", None, socket.gaierror(-2, "unknown"))  # type: ignore[arg-type]
    assert failure_reason(unknown) == "its name cannot be resolved; check the spelling, and the network"
    assert failure_reason(ConnectTimeoutError("x")) == "it does not accept the connection in time"
