"""How an API knows who asks."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from posthog_assets.core.errors import ImportFileError, SourceRefused, SourceUnavailable
from posthog_assets.sources.rest.auth import Auth, ClientCredentials
from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply

READ: TypeAdapter[Any] = TypeAdapter(Auth)


@pytest.mark.parametrize(
    ("auth", "headers", "params"),
    [
        ({"type": "bearer", "token": " t0ken "}, {"Authorization": "Bearer t0ken"}, {}),
        ({"type": "api_key", "api_key": "k"}, {"Authorization": "k"}, {}),
        ({"type": "api_key", "api_key": "k", "name": "X-Key"}, {"X-Key": "k"}, {}),
        ({"type": "api_key", "api_key": "k", "name": "key", "location": "query"}, {}, {"key": "k"}),
        ({"type": "api_key", "api_key": "k", "name": "key", "location": "param"}, {}, {"key": "k"}),
        ({"type": "api_key", "api_key": "k", "name": "sid", "location": "cookie"}, {"Cookie": "sid=k"}, {}),
        ({"type": "http_basic", "username": "me", "password": "s3"}, {"Authorization": "Basic bWU6czM="}, {}),
        ({"type": "http_basic", "username": "key"}, {"Authorization": "Basic a2V5Og=="}, {}),
    ],
)
def test_credentials_go_where_the_import_file_says(
    auth: dict[str, Any], headers: dict[str, str], params: dict[str, str]
) -> None:
    one = READ.validate_python(auth)
    assert (one.headers(), one.params()) == (headers, params)


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({"type": "bearer"}, "source.client.auth.token is empty: set it, or the environment variable"),
        ({"type": "bearer", "token": "  "}, "source.client.auth.token is empty"),
        ({"type": "api_key", "api_key": "a\nb"}, "source.client.auth.api_key holds a line end"),
        ({"type": "http_basic", "password": "s3cret"}, "source.client.auth.username is empty"),
    ],
)
def test_a_credential_that_is_missing_names_its_setting(auth: dict[str, Any], words: str) -> None:
    one = READ.validate_python(auth)
    with pytest.raises(ImportFileError, match=words) as caught:
        one.headers()
    assert "s3cret" not in str(caught.value)


def test_a_way_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="'bearer', 'api_key', 'http_basic', 'oauth2_client_credentials'"):
        READ.validate_python({"type": "kerberos"})


class Tokens(ExportServer):
    def reply(self, asked: Asked) -> Reply:
        return Reply(body=orjson.dumps({"access_token": "t0ken", "expires_in": 600}))


def client(url: str, **more: Any) -> ClientCredentials:
    found = READ.validate_python(
        {"type": "oauth2_client_credentials", "access_token_url": f"{url}/oauth/token", "client_id": "me",
         "client_secret": "s3cret"} | more
    )  # fmt: skip
    assert isinstance(found, ClientCredentials)
    return found


def test_a_token_is_fetched_with_a_form_and_renewed_before_it_ends() -> None:
    with Tokens() as server:
        one = client(server.url, access_token_request_data={"scope": "read"})
        token, renew_at = one.fetch_token(0)
        _, later = client(server.url).fetch_token(0)
        asked = server.requests[0]
    assert (token, asked.method, asked.path) == ("t0ken", "POST", "/oauth/token")
    assert asked.fields == {
        "scope": "read", "grant_type": "client_credentials", "client_id": "me", "client_secret": "s3cret",
    }  # fmt: skip
    assert later >= renew_at


@pytest.mark.parametrize(("answer", "life"), [({}, 3540), ({"expires_in": 30}, 15), ({"expires_in": "soon"}, 3540)])
def test_a_token_of_unknown_or_short_life_is_renewed_in_time(
    answer: dict[str, Any], life: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthog_assets.sources.rest.auth.time.monotonic", lambda: 1000.0)
    body = orjson.dumps({"access_token": "t"} | answer)
    with Tokens(lambda asked, reply: Reply(body=body)) as server:
        assert client(server.url).fetch_token(0)[1] == 1000.0 + life


def test_an_answer_without_a_token_says_what_to_check() -> None:
    with Tokens(lambda asked, reply: Reply(body=b'{"error": "s3cret is wrong"}')) as server:
        with pytest.raises(SourceRefused, match="answers without an access_token: check source.client.auth") as caught:
            client(server.url).fetch_token(0)
    assert "s3cret" not in str(caught.value)


def test_an_answer_that_is_no_json_may_be_another_one_next_time() -> None:
    with Tokens(lambda asked, reply: Reply(body=b"<html>")) as server:
        with pytest.raises(SourceUnavailable, match="the token's answer is no JSON"):
            client(server.url).fetch_token(0)
