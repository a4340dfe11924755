"""Asking an API for one page: what each answer means."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from posthog_assets.core.errors import BrokenPart, SourceRefused
from posthog_assets.sources.formats import Compression
from posthog_assets.sources.http.api import TooMuch, sleeping_by
from posthog_assets.sources.rest.client import Client, ResponseAction, RestClient, decompressed
from posthog_assets.sources.rest.requests import Request
from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply

PAGE = b'{"data": [{"id": 1}, {"id": 2}], "next": "x"}'


class Shop(ExportServer):
    def reply(self, asked: Asked) -> Reply:
        if asked.path == "/token":
            return Reply(body=orjson.dumps({"access_token": f"t{asked.attempt}"}))
        return Reply(body=PAGE)


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with sleeping_by(lambda seconds: None):
        yield


def asking(url: str, retry_seconds: float = 60, **settings: Any) -> RestClient:
    client = Client.model_validate({"base_url": url} | settings)
    return RestClient(client, (), 5, retry_seconds)


def request(server: Shop) -> Request:
    return Request("GET", f"{server.url}/orders", (("size", "2"),))


def actions(*given: dict[str, Any]) -> tuple[ResponseAction, ...]:
    return tuple(ResponseAction.model_validate(one) for one in given)


def test_a_page_is_the_answer_as_it_came_and_as_it_reads() -> None:
    with Shop() as server:
        page = asking(server.url, auth={"token": "s3cret"}).page(request(server), "data", ())
        (asked,) = server.requests
    assert page is not None
    assert (page.content, page.compression, page.answer["next"]) == (PAGE, Compression.NONE, "x")
    assert page.members == [{"id": 1}, {"id": 2}]
    assert (asked.fields, asked.headers["Authorization"]) == ({"size": "2"}, "Bearer s3cret")


def test_a_compressed_page_stays_compressed_and_reads_the_same() -> None:
    with Shop(lambda asked, reply: reply.gzipped()) as server:
        page = asking(server.url).page(request(server), "data", ())
    assert page is not None
    assert (page.compression, page.members) == (Compression.GZIP, [{"id": 1}, {"id": 2}])
    assert decompressed(page.content, "x") == PAGE


def test_a_status_or_a_text_may_mean_that_there_is_nothing_or_too_much() -> None:
    nothing = actions({"status_code": 404, "action": "ignore"}, {"content": '"none"', "action": "ignore"})
    with Shop(lambda asked, reply: Reply(404)) as server:
        assert asking(server.url).page(request(server), "data", nothing) is None
    with Shop(lambda asked, reply: Reply(body=b'{"status": "none"}')) as server:
        assert asking(server.url).page(request(server), "data", nothing) is None
    much = actions({"status_code": 400, "content": "too many", "action": "halve"})
    with Shop(lambda asked, reply: Reply(400, b"too many rows")) as server, pytest.raises(TooMuch, match="HTTP 400"):
        asking(server.url).page(request(server), "data", much)
    # The same status with another text is what it always is.
    with Shop(lambda asked, reply: Reply(400, b"bad filter")) as server:
        with pytest.raises(SourceRefused, match="GET .*/orders: HTTP 400: bad filter"):
            asking(server.url).page(request(server), "data", much)


def test_an_action_may_try_again_or_stop() -> None:
    again = actions({"content": "warming up", "action": "retry"})
    script = lambda asked, reply: Reply(body=b'{"data": "warming up"}') if asked.attempt < 3 else reply  # noqa: E731
    with Shop(script) as server:
        assert asking(server.url).page(request(server), "data", again) is not None
        assert len(server.requests) == 3
    stop = actions({"content": '"id": 2', "action": "raise"})
    with Shop() as server, pytest.raises(SourceRefused, match=r"source.endpoint.response_actions says to stop"):
        asking(server.url).page(request(server), "data", stop)


@pytest.mark.parametrize(("status", "hint"), [(401, "check source.client.auth"), (404, "check source.client.base_url")])
def test_a_refusal_says_what_to_look_at_and_no_credential(status: int, hint: str) -> None:
    with Shop(lambda asked, reply: Reply(status, b"you sent s3cret")) as server:
        with pytest.raises(SourceRefused) as caught:
            asking(server.url, headers={"X-Api-Key": "s3cret"}).page(request(server), "data", ())
    assert hint in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_missing_list_is_an_error_unless_it_means_that_there_is_nothing() -> None:
    with Shop(lambda asked, reply: Reply(body=b'{"next": null}')) as server:
        page = asking(server.url).page(request(server), "data", (), missing_is_empty=True)
        assert page is not None
        assert page.members == []
        with pytest.raises(BrokenPart, match="data_selector 'data' finds nothing"):
            asking(server.url).page(request(server), "data", ())


def test_a_token_that_was_taken_back_is_fetched_once_more() -> None:
    def script(asked: Asked, reply: Reply) -> Reply:
        return Reply(401) if asked.headers.get("Authorization") == "Bearer t1" else reply

    auth = {"type": "oauth2_client_credentials", "client_id": "me", "client_secret": "s3cret"}
    with Shop(script) as server:
        client = asking(server.url, auth=auth | {"access_token_url": f"{server.url}/token"})
        assert client.page(request(server), "data", ()) is not None
        assert client.page(request(server), "data", ()) is not None
        assert [asked.path for asked in server.requests] == ["/token", "/orders", "/token", "/orders", "/orders"]


def test_a_token_server_that_answers_with_html_is_asked_again() -> None:
    def script(asked: Asked, reply: Reply) -> Reply:
        return Reply(body=b"<html>") if asked.path == "/token" and asked.attempt == 1 else reply

    auth = {"type": "oauth2_client_credentials", "client_id": "me", "client_secret": "s3cret"}
    with Shop(script) as server:
        client = asking(server.url, auth=auth | {"access_token_url": f"{server.url}/token"})
        assert client.page(request(server), "data", ()) is not None


def test_a_page_that_unpacks_to_more_than_can_be_held_is_refused() -> None:
    with pytest.raises(BrokenPart, match="x: the answer is longer than 64 MiB"):
        decompressed(gzip.compress(b"\0" * ((64 << 20) + 1), 1), "x")


def test_a_page_that_is_no_gzip_or_not_all_of_one_is_fetched_again() -> None:
    with pytest.raises(BrokenPart, match="x: the answer cannot be decompressed"):
        decompressed(b"\x1f\x8bno gzip at all", "x")
    with pytest.raises(BrokenPart, match="x: the answer ends early"):
        decompressed(gzip.compress(PAGE)[:-5], "x")


def test_headers_that_are_none_are_refused_and_those_with_credentials_are_known() -> None:
    client = Client.model_validate({"base_url": "https://a.example", "headers": {"X-Api-Key": "k", "Accept": "a/b"}})
    assert client.secrets() == ("k",)
    for headers in ({"a b": "c"}, {"a": "b\nc"}):
        with pytest.raises(ValidationError, match="and its value cannot be a header"):
            Client.model_validate({"base_url": "https://a.example", "headers": headers})


def test_an_action_that_matches_everything_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs status_code, content, or both"):
        ResponseAction.model_validate({"action": "ignore"})
