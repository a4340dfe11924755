"""What an API answers besides pages, and what becomes of a day when it does; any page size, order and interruption."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from posthog_assets.core.errors import BrokenPart, SourceRefused, SourceUnavailable
from posthog_assets_tests.fakes.export_server import Asked, Reply
from posthog_assets_tests.fakes.records_api import (
    DAY,
    TOKEN,
    Paging,
    RecordsApi,
    day_of_records,
    record,
    settings,
)
from posthog_assets_tests.sources.rest.exporting import ALL, export, ids_by_day, ids_of

pytestmark = pytest.mark.usefixtures("pauses")


def once(fault: Callable[[Reply], Reply], times: int = 1) -> Callable[[Asked, Reply], Reply]:
    """Return a script that does *fault* to the second page, so many times."""
    return lambda asked, reply: fault(reply) if asked.fields.get("place") == "3" and asked.attempt <= times else reply


PASSING: dict[str, Callable[[Reply], Reply]] = {
    "429 with Retry-After": lambda reply: Reply(429, headers={"Retry-After": "7"}),
    "429 without Retry-After": lambda reply: Reply(429),
    "403 whose limit is used up": lambda reply: Reply(
        403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}
    ),
    "503 with Retry-After": lambda reply: Reply(503, headers={"Retry-After": "9"}),
    "500": lambda reply: Reply(500, b"oops"),
    "504": lambda reply: Reply(504),
    "no answer": lambda reply: Reply(None),
    "half a body": lambda reply: replace(reply, half=True),
    "a body that is cut and says nothing of it": lambda reply: replace(reply, body=reply.body[:-9]),
    "an empty body": lambda reply: replace(reply, body=b""),
    "HTML": lambda reply: Reply(body=b"<html><body>We are down for maintenance</body></html>"),
    "an error instead of records": lambda reply: Reply(body=b'{"error": "try later"}'),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_costs_nothing_but_time(fault: str, tmp_path: Path, pauses: list[float]) -> None:
    with RecordsApi(day_of_records(), script=once(PASSING[fault])) as api:
        assert ids_of(export(settings(api.url), tmp_path)) == ALL
        assert len(api.requests) == 5
    assert any(pauses)


def test_a_wait_is_as_long_as_the_api_asks_for(tmp_path: Path, pauses: list[float]) -> None:
    with RecordsApi(day_of_records(), script=once(PASSING["429 with Retry-After"])) as api:
        export(settings(api.url), tmp_path)
    assert pauses == [7.0]


def test_without_retry_after_the_wait_doubles(tmp_path: Path, pauses: list[float]) -> None:
    with RecordsApi(day_of_records(), script=once(PASSING["429 without Retry-After"], times=3)) as api:
        export(settings(api.url), tmp_path)
    assert pauses == [10.0, 20.0, 40.0]


LASTING: list[tuple[str, Reply, type[Exception], str]] = [
    ("401", Reply(401, b'{"error": "expired"}'), SourceRefused, "check source.client.auth"),
    ("403", Reply(403, b'{"message": "scope missing"}'), SourceRefused, "what the credentials may read"),
    ("404", Reply(404), SourceRefused, "check source.client.base_url and source.endpoint.path"),
    ("302", Reply(302, headers={"Location": "/login"}), SourceRefused, "HTTP 302"),
    ("500", Reply(500, b"oops"), SourceUnavailable, "HTTP 500: oops; tried for"),
    ("HTML", Reply(body=b"<html>Log in</html>"), BrokenPart, "answers with HTML or XML instead of JSON: '<html>Log in"),
    ("half an object", Reply(body=b'{"data": ['), BrokenPart, "what is no JSON"),
    ("no records", Reply(body=b'{"items": []}'), BrokenPart, "data_selector 'data' finds nothing in the answer"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "error", "words"), LASTING, ids=[name for name, *_ in LASTING])
def test_what_does_not_pass_ends_the_run_with_what_to_do(
    name: str, answer: Reply, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with RecordsApi([], script=lambda asked, reply: answer) as api:
        with pytest.raises(error) as raised:
            export(settings(api.url, retry_seconds=0), tmp_path)
    assert words in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_a_token_in_an_answer_is_not_repeated(tmp_path: Path) -> None:
    with RecordsApi([], script=lambda asked, reply: Reply(401, f"bad token {TOKEN}".encode())) as api:
        with pytest.raises(SourceRefused, match="bad token [(]the key[)]"):
            export(settings(api.url), tmp_path)


@pytest.mark.parametrize("broken_at", range(4))
def test_an_interrupted_day_goes_on_after_its_last_page(broken_at: int, tmp_path: Path) -> None:
    down = True

    def breaks(asked: Asked, reply: Reply) -> Reply:
        return Reply(500) if down and int(asked.fields.get("place", 0)) == 3 * broken_at else reply

    with RecordsApi(day_of_records(), script=breaks) as api:
        section = settings(api.url, retry_seconds=0)
        with pytest.raises(SourceUnavailable):
            export(section, tmp_path)
        down = False
        before = len(api.requests)
        assert ids_of(export(section, tmp_path)) == ALL
        assert [request.fields.get("place", "0") for request in api.requests[before:]] == [
            str(3 * number) for number in range(broken_at, 4)
        ]


def test_an_interrupted_reading_newest_first_passes_over_newer_pages_once(tmp_path: Path) -> None:
    down = True
    records = [record(n, DAY + timedelta(hours=6 * n)) for n in range(-8, 12)]

    def breaks(asked: Asked, reply: Reply) -> Reply:
        return Reply(500) if down and asked.fields.get("place") == "9" else reply

    with RecordsApi(records, Paging(newest_first=True), breaks) as api:
        section = settings(
            api.url, order="newest_first", retry_seconds=0,
            endpoint_incremental={"cursor_path": "at", "format": "epoch_seconds"},
        )  # fmt: skip
        with pytest.raises(SourceUnavailable):
            export(section, tmp_path)
        down = False
        before = len(api.requests)
        assert ids_of(export(section, tmp_path)) == ["r3", "r2", "r1", "r0"]
        assert [request.fields.get("place") for request in api.requests[before:]] == ["9", "12"]


def test_a_part_that_was_damaged_meanwhile_is_asked_for_again(tmp_path: Path) -> None:
    with RecordsApi(day_of_records()) as api:
        raw = export(settings(api.url), tmp_path)
        (tmp_path / "shop/raw_export/2024-03-01" / raw.parts()[1].name).write_bytes(b"{}")
        assert ids_of(export(settings(api.url), tmp_path)) == ALL
        assert len(api.requests) == 5


def test_a_token_of_oauth_is_fetched_and_again_when_it_has_ended(tmp_path: Path) -> None:
    made: list[str] = []

    def with_tokens(asked: Asked, reply: Reply) -> Reply:
        if asked.path == "/token":
            assert asked.fields["grant_type"] == "client_credentials"
            assert (asked.fields["client_id"], asked.fields["client_secret"]) == ("me", "hush")
            made.append(f"{TOKEN}-{len(made)}")
            return Reply(body=json.dumps({"access_token": made[-1], "expires_in": 3600}).encode())
        # The first token is taken back after two pages.
        good = made[-1] if len(made) > 1 or asked.fields.get("place") in (None, "3") else "none"
        if asked.headers.get("Authorization") != f"Bearer {good}":
            return Reply(401, b'{"error": "token expired"}')
        return api.reply(replace(asked, headers={"Authorization": f"Bearer {TOKEN}"}))

    with RecordsApi(day_of_records(), script=with_tokens) as api:
        section = settings(api.url)
        section["client"]["auth"] = {
            "type": "oauth2_client_credentials", "access_token_url": f"{api.url}/token", "client_id": "me",
            "client_secret": "hush",
        }  # fmt: skip
        assert ids_of(export(section, tmp_path)) == ALL
    assert len(made) == 2


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Paging, int]:
    """Return records of three days, how they are paged, and the request that fails."""
    seconds = draw(
        st.lists(st.integers(0, 3 * 86_400 - 1) | st.sampled_from([0, 86_399, 86_400, 172_800]), max_size=25)
    )
    records = [record(number, DAY + timedelta(seconds=second)) for number, second in enumerate(seconds)]
    paging = Paging(
        draw(st.sampled_from(["cursor", "json_link", "header_link", "header_cursor", "page_number"])),
        size=draw(st.integers(2, 7)), overlap=draw(st.integers(0, 3)), newest_first=draw(st.booleans()),
        start_exclusive=draw(st.booleans()), end_inclusive=draw(st.booleans()),
    )  # fmt: skip
    return records, paging, draw(st.integers(0, 12))


@examples(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_any_page_size_order_overlap_and_interruption_give_the_same_set_as_the_truth(
    history: tuple[list[dict[str, Any]], Paging, int],
) -> None:
    records, paging, fails_at = history
    api: RecordsApi

    def fails(asked: Asked, reply: Reply) -> Reply:
        return Reply(500) if len(api.requests) == fails_at else reply

    with RecordsApi(records, paging, fails) as api, tempfile.TemporaryDirectory() as folder:
        section = settings(
            api.url, paging.style, retry_seconds=0, start_exclusive=paging.start_exclusive,
            end_inclusive=paging.end_inclusive,
        )  # fmt: skip
        try:
            found = ids_by_day(section, Path(folder), 3)
        except SourceUnavailable:
            found = ids_by_day(section, Path(folder), 3)
    assert sorted(found) == sorted(one["id"] for one in records)


@examples(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 96).map(lambda hour: hour * 1800), max_size=12, unique=True),
    st.integers(4, 9),
    st.booleans(),
)
def test_any_cap_is_halved_until_everything_comes(seconds: list[int], cap: int, inclusive: bool) -> None:
    records = [record(number, DAY + timedelta(seconds=second)) for number, second in enumerate(seconds)]
    records = [one for one in records if one["at"] < (DAY + timedelta(days=2)).timestamp()]
    paging = Paging(size=3, cap=cap, end_inclusive=inclusive)
    with RecordsApi(records, paging) as api, tempfile.TemporaryDirectory() as folder:
        section = settings(api.url, max_rows_per_window=cap, end_inclusive=inclusive)
        found = ids_by_day(section, Path(folder), 2)
    assert sorted(found) == sorted(one["id"] for one in records)
