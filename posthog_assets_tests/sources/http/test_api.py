"""Every answer of an export API has its consequence."""

from __future__ import annotations

import gzip
import io
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import BrokenPart, SourceRefused, SourceUnavailable
from posthog_assets.sources.formats import Compression
from posthog_assets.sources.http.answer import Answer
from posthog_assets.sources.http.api import Api, TooMuch, basic
from posthog_assets.storage.rates import Limit, Rate
from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply, Script
from posthog_assets_tests.sources.formats.reading import zipped

LINES = b'{"n":1}\n' * 1000


class Lines(ExportServer):
    def reply(self, asked: Asked) -> Reply:
        return Reply(body=LINES)


pytestmark = pytest.mark.usefixtures("pauses")


def asking(url: str, **options: Any) -> Api:
    return Api(url, basic("me", "s3cret"), ("s3cret",), timeout_seconds=5, **options)


def copied(server: ExportServer, **options: Any) -> tuple[bytes, Compression]:
    api = asking(server.url, **options)

    def fetch() -> tuple[bytes, Compression]:
        with api.request("GET", "/export") as answer:
            assert isinstance(answer, Answer)
            sink = io.BytesIO()
            answer.copy(sink)
            return sink.getvalue(), answer.compression

    return api.persist(fetch)


def first_time(*replies: Reply) -> Script:
    """Return a script that gives *replies* first, then what the vendor would."""
    left = list(replies)
    return lambda asked, reply: left.pop(0) if left else reply


def test_a_body_is_kept_as_it_is_delivered() -> None:
    with Lines() as server:
        assert copied(server) == (LINES, Compression.NONE)
        assert server.requests[0].headers["Authorization"] == "Basic bWU6czNjcmV0"
    with Lines(lambda asked, reply: reply.gzipped()) as server:
        body, compression = copied(server)
        assert compression is Compression.GZIP
        assert gzip.decompress(body) == LINES


@pytest.mark.parametrize(
    ("inner", "compression"),
    [(gzip.compress(LINES), Compression.GZIP), (zipped(LINES), Compression.ZIP)],
    # The bytes hold the time at which they were made, and a name must be the same in all processes.
    ids=["gzip", "zip"],
)
def test_an_archive_that_was_compressed_once_more_on_its_way_is_unpacked_once(
    inner: bytes, compression: Compression
) -> None:
    with Lines(lambda asked, reply: Reply(body=inner).gzipped()) as server:
        assert copied(server) == (inner, compression)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500), Reply(502), Reply(503), Reply(408), Reply(None), Reply(body=LINES, half=True),
        Reply(body=gzip.compress(gzip.compress(LINES))[:-20], headers={"Content-Encoding": "gzip"}),
    ],
    ids=["500", "502", "503", "408", "no answer", "half a body", "an archive cut short"],
)  # fmt: skip
def test_a_passing_failure_is_met_by_asking_again(reply: Reply) -> None:
    with Lines(first_time(reply, reply)) as server:
        assert copied(server)[0] == LINES
        assert len(server.requests) == 3


def test_a_lasting_failure_ends_when_the_budget_is_spent(pauses: list[float]) -> None:
    with Lines(lambda asked, reply: Reply(500, b'{"error":"down for s3cret"}')) as server:
        with pytest.raises(SourceUnavailable, match=r"/export: HTTP 500: down for \(the key\); tried for 60 s"):
            copied(server, retry_seconds=60)
        assert 3 < len(server.requests) < 40
        assert 60 - max(pauses) <= sum(pauses) + 30


def test_waiting_as_asked_costs_no_budget(pauses: list[float]) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=500), usegmt=True)
    busy = Reply(429, headers={"Retry-After": "900"}), Reply(503, headers={"Retry-After": later}), Reply(429)
    with Lines(first_time(*busy)) as server:
        assert copied(server, retry_seconds=1)[0] == LINES
    asked, dated, guessed = pauses
    assert asked == 900
    assert 490 < dated <= 500
    assert guessed > 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 301])
def test_a_refusal_is_final_and_says_why_without_the_secret(status: int) -> None:
    with Lines(lambda asked, reply: Reply(status, b"wrong: s3cret")) as server:
        with pytest.raises(SourceRefused, match=rf"/export: HTTP {status}: wrong: \(the key\)"):
            copied(server)
        assert len(server.requests) == 1


def test_a_source_says_which_answers_mean_nothing_or_too_much() -> None:
    with Lines(lambda asked, reply: Reply(int(asked.path[1:]), b"too big")) as server:
        api = asking(server.url)
        with api.request("GET", "/404", nothing=frozenset({404})) as answer:
            assert answer is None
        with api.request("GET", "/204") as answer:
            assert answer is None
        with pytest.raises(TooMuch, match="HTTP 504: too big"), api.request("GET", "/504", too_much=frozenset({504})):
            pass


def test_an_answer_that_does_not_come_in_time_may_be_too_much() -> None:
    with Lines(lambda asked, reply: Reply(delay=0.6)) as server:
        api = Api(server.url, timeout_seconds=0.2)
        with (
            pytest.raises(TooMuch, match="no answer: it accepted the connection, and did not answer in time"),
            api.request("GET", "/", too_slow=True),
        ):
            pass
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "start", "compression"),
    [(b"", b"", Compression.NONE), (b"PK\x05\x06" + bytes(18), b"PK\x05\x06", Compression.ZIP)],
    ids=["nothing", "a zip without members"],
)
def test_how_a_body_begins_can_be_looked_at(body: bytes, start: bytes, compression: Compression) -> None:
    with Lines(lambda asked, reply: Reply(body=body)) as server, asking(server.url).request("GET", "/") as answer:
        assert answer is not None
        assert (answer.start[:4], answer.compression) == (start, compression)


def test_a_body_that_trickles_counts_as_stopped() -> None:
    with Lines(lambda asked, reply: Reply(body=LINES, trickle=0.05)) as server:
        api = Api(server.url, timeout_seconds=0.4)
        with pytest.raises(SourceUnavailable, match="came to a standstill"), api.request("GET", "/export") as answer:
            assert answer is not None
            answer.copy(io.BytesIO())


def test_a_body_larger_than_expected_is_refused() -> None:
    with Lines() as server, asking(server.url).request("GET", "/export") as answer:
        assert answer is not None
        with pytest.raises(SourceRefused, match="more than 1,000 bytes at once: refused"):
            answer.copy(io.BytesIO(), 1000)
    with Lines(lambda asked, reply: reply.gzipped()) as server, asking(server.url).request("GET", "/") as answer:
        assert answer is not None
        with pytest.raises(SourceRefused, match="more than 1,000 bytes: refused"):
            answer.read(1000)


def test_a_delivery_that_stays_broken_fails_loudly() -> None:
    tries = 0

    def fetch() -> None:
        nonlocal tries
        tries += 1
        raise BrokenPart("truncated")

    with pytest.raises(BrokenPart, match="truncated"):
        asking("http://127.0.0.1:9").persist(fetch)
    assert tries == 3


def test_fields_go_into_the_url_or_into_a_form() -> None:
    with Lines() as server:
        api = asking(server.url)
        for method in ("GET", "POST"):
            with api.request(method, "/q", fields={"from": "2024-03-01", "events": '["a b"]'}):
                pass
        assert [asked.fields for asked in server.requests] == [{"from": "2024-03-01", "events": '["a b"]'}] * 2


def test_no_stretch_of_time_holds_more_requests_than_a_limit_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1_700_000_000.0
    left: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds

    monkeypatch.setattr(time, "time", lambda: clock)
    # Two processes name the same file.
    rates = [Rate((Limit(3, 1), Limit(10, 60)), tmp_path / "rate", sleep) for _ in range(2)]
    for number in range(25):
        rates[number % 2].wait()
        left.append(clock)
    for limit, seconds in ((3, 1), (10, 60)):
        assert all(later - first >= seconds - 1e-6 for first, later in zip(left, left[limit:], strict=False))
    assert left[9] - left[0] < 4
    assert left[24] - left[0] < 122


def test_credentials_are_not_part_of_what_is_shown() -> None:
    assert "s3cret" not in repr(asking("http://127.0.0.1:9"))


def test_an_api_may_have_a_clock_and_a_sleep_of_its_own(pauses: list[float]) -> None:
    seconds, slept = 0.0, []

    def sleep(wait: float) -> None:
        nonlocal seconds
        seconds += wait
        slept.append(wait)

    with Lines(lambda asked, reply: Reply(500, b"oops")) as server:
        api = asking(server.url, retry_seconds=60, sleep=sleep, clock=lambda: seconds)
        with pytest.raises(SourceUnavailable, match="HTTP 500: oops; tried for 60 s"), api.request("GET", "/export"):
            pass
    assert 0 < sum(slept) <= 60
    assert pauses == []
