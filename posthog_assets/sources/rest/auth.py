"""How an API knows who asks.

Belongs here: the four ways of `client.auth`, and the headers and parameters they become. Does not belong here: sending
requests (`client`).
"""

from __future__ import annotations

import time
import urllib.parse
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field, SecretStr

from posthog_assets.core.errors import ImportFileError, SourceRefused
from posthog_assets.core.sections import HttpUrl, Section
from posthog_assets.sources.http.answer import Stopped
from posthog_assets.sources.http.api import Api, basic

#: No answer with a token is longer.
_TOKEN_BYTES: Final = 1 << 20

#: A token is renewed so many seconds before it ends.
_EARLY: Final = 60


class Bearer(Section):
    """A token in the header `Authorization: Bearer …`."""

    type: Literal["bearer"] = "bearer"
    token: SecretStr | None = Field(None, description="The token")

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {_given(self.token, 'token')}"}

    def params(self) -> dict[str, str]:
        return {}

    def secrets(self) -> list[SecretStr | None]:
        return [self.token]


class ApiKey(Section):
    """A key in a header, a cookie or a parameter of the URL."""

    type: Literal["api_key"]
    name: str = Field("Authorization", min_length=1, description="Of the header, cookie or parameter")
    api_key: SecretStr | None = Field(None, description="The key")
    location: Literal["header", "query", "param", "cookie"] = Field("header", description="Where the key is sent")

    def headers(self) -> dict[str, str]:
        key = _given(self.api_key, "api_key")
        if self.location == "cookie":
            return {"Cookie": f"{self.name}={key}"}
        return {self.name: key} if self.location == "header" else {}

    def params(self) -> dict[str, str]:
        return {self.name: _given(self.api_key, "api_key")} if self.location in ("query", "param") else {}

    def secrets(self) -> list[SecretStr | None]:
        return [self.api_key]


class HttpBasic(Section):
    """A user name and a password."""

    type: Literal["http_basic"]
    username: SecretStr | None = Field(None, description="User name")
    password: SecretStr | None = Field(None, description="Empty where the API wants a key as the user name alone")

    def headers(self) -> dict[str, str]:
        password = self.password.get_secret_value() if self.password else ""
        return basic(_given(self.username, "username"), password)

    def params(self) -> dict[str, str]:
        return {}

    def secrets(self) -> list[SecretStr | None]:
        return [self.username, self.password]


class ClientCredentials(Section):
    """OAuth 2.0 client credentials (RFC 6749 §4.4): a token is fetched, and again when it has ended."""

    type: Literal["oauth2_client_credentials"]
    access_token_url: HttpUrl = Field(description="Where tokens are given")
    client_id: SecretStr | None = Field(None, description="Id of the client")
    client_secret: SecretStr | None = Field(None, description="Secret of the client")
    access_token_request_data: dict[str, str] = Field(default_factory=dict, description="Such as scope", repr=False)
    default_token_expiration: int = Field(3600, gt=0, description="Seconds, where the answer does not say")

    def headers(self) -> dict[str, str]:
        return {}

    def params(self) -> dict[str, str]:
        return {}

    def secrets(self) -> list[SecretStr | None]:
        return [self.client_id, self.client_secret]

    def fetch_token(self, retry_seconds: float) -> tuple[str, float]:
        """Return a token, and when it is to be renewed (`time.monotonic`).

        Raises:
            SourceRefused: the server gives none.
            SourceUnavailable: it does not answer.
        """
        secrets = (_given(self.client_id, "client_id"), _given(self.client_secret, "client_secret"))
        form = self.access_token_request_data | {
            "grant_type": "client_credentials", "client_id": secrets[0], "client_secret": secrets[1],
        }  # fmt: skip
        parts = urllib.parse.urlsplit(self.access_token_url)
        api = Api(f"{parts.scheme}://{parts.netloc}", {}, secrets, retry_seconds=retry_seconds)

        asked = time.monotonic()
        answer = _object(api.persist(lambda: api.read("POST", parts.path or "/", _TOKEN_BYTES, fields=form)))
        token, seconds = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token:
            raise SourceRefused(f"{self.access_token_url} answers without an access_token: check source.client.auth")
        life = float(seconds) if isinstance(seconds, int | float) else float(self.default_token_expiration)
        return token, asked + max(life - _EARLY, life / 2)


Auth = Annotated[Bearer | ApiKey | HttpBasic | ClientCredentials, Field(discriminator="type")]


def _given(secret: SecretStr | None, field: str) -> str:
    value = secret.get_secret_value().strip() if secret else ""
    if not value:
        raise ImportFileError(
            f"source.client.auth.{field} is empty: set it, or the environment variable the import file names"
        )
    if not value.isprintable():
        raise ImportFileError(f"source.client.auth.{field} holds a line end or another character no header can hold")
    return value


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Stopped("the token's answer is no JSON") from error
    return answer if isinstance(answer, dict) else {}
