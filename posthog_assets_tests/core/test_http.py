"""What is read of an answer, or of its absence: words for a message, and how long to wait."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import urllib3
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError

from posthog_assets.core.deadlines import pool, read_body
from posthog_assets.core.http import backoff, failure_reason, parse_retry_after, words

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)


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
    said = why(f"http://{served(lambda connection: connection.shutdown(socket.SHUT_RDWR))}/")
    assert said.startswith("the connection broke: ")


def test_a_server_that_speaks_no_tls() -> None:
    said = why(f"https://{served(lambda connection: connection.sendall(b'HTTP/1.1 400 Bad' + bytes(4)))}/")
    assert said.startswith("no secure connection: ")


def test_a_name_that_does_not_exist_and_a_host_that_does_not_accept() -> None:
    unknown = NameResolutionError("eu.posthog.example", None, socket.gaierror(-2, "unknown"))  # type: ignore[arg-type]
    assert failure_reason(unknown) == "its name cannot be resolved; check the spelling, and the network"
    assert failure_reason(ConnectTimeoutError("x")) == "it does not accept the connection in time"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("604800", 604_800.0),
        ("604801", None),
        ("Fri, 01 Mar 2024 12:00:30 GMT", 30.0),
        ("Fri, 01 Mar 2024 13:00:30 +0100", 30.0),
        ("Fri, 01 Mar 2024 11:59:00 GMT", 0.0),
        ("Fri, 01 Mar 9999 11:59:00 GMT", None),
        ("nan", None),
        ("inf", None),
        ("1e200", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Fri, 99 Mar 2024 99:00:00 GMT", None),
        ("9" * 400, None),
    ],
)
def test_a_server_may_ask_to_wait_in_seconds_or_until_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", ""),
        (b"  no\n\n such   thing ", "no such thing"),
        (b'{"error":"invalid","detail":"no key"}', "invalid: no key"),
        (b'{"error":"invalid","error_description":"expired","message":"m"}', "invalid: expired: m"),
        (b'{"error":{"code":5}}', "{'code': 5}"),
        (b'{"other":1}', '{"other":1}'),
        (b'{"error":"","detail":null}', '{"error":"","detail":null}'),
        (b"[1, 2]", "[1, 2]"),
        (b"\xff\xfe", "��"),
        (b"x" * 5_000, "x" * 199 + "…"),
        (b'{"detail":"' + b"x" * 5_000 + b'"}', "x" * 199 + "…"),
    ],
)
def test_the_words_of_an_answer_are_its_error_fields_or_its_text_on_one_line(body: bytes, said: str) -> None:
    assert words(body) == said


def test_a_secret_is_hidden_also_where_the_words_are_cut() -> None:
    for before in (0, 190, 195, 199):
        assert "abcdef" not in words(b"x" * before + b"phc_abcdefghijkl", "phc_abcdefghijkl")
    assert words(b'{"detail":"phc_abcdefghijkl is wrong"}', "phc_abcdefghijkl") == "(the key) is wrong"


def test_pauses_double_with_jitter_up_to_half_a_minute_however_often_it_failed() -> None:
    for failures in range(9):
        for _ in range(20):
            assert 0.1 * 2**failures <= backoff(failures) <= min(0.15 * 2**failures, 30.0)
    assert backoff(10) == backoff(10_000) == 30.0
    assert len({backoff(3) for _ in range(5)}) > 1
