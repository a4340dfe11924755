"""Asking an API for one page.

Belongs here: credentials on requests, `response_actions`, and telling a page from what is none. Does not belong here:
waiting and trying again (`sources.http.api`), which page comes next (`paginators`).

| answer | consequence |
|---|---|
| 200 with JSON that has records at `data_selector` | a page |
| a `response_actions` entry that matches | what it says: ignore, halve, retry, raise |
| 204 | a page without records, the last one |
| 401 | with OAuth a new token is fetched once; else the run ends, saying which setting to look at |
| 403, 404, any other 3xx or 4xx | the run ends with the vendor's words, and what to look at |
| 429; 403 and 503 that say how long | waits as asked, an hour at most |
| 429 without Retry-After | waits 5 s, then twice as long each time, 320 s at most |
| 408, 5xx, no answer, a body that is cut short | tried again with growing pauses, for `retry_seconds` |
| HTML, half an object, no records at the path | fetched again twice; then the run ends, quoting it |
"""

from __future__ import annotations

import io
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from posthog_assets.core.errors import BrokenPart, SourceRefused, shorten
from posthog_assets.core.sections import HttpUrl, Section
from posthog_assets.sources.formats import Compression
from posthog_assets.sources.formats.json_paths import NOTHING, find
from posthog_assets.sources.formats.selected import members_at, parse_answer
from posthog_assets.sources.http.answer import Answer, Stopped
from posthog_assets.sources.http.api import Api, TooMuch
from posthog_assets.sources.rest.auth import Auth, ClientCredentials
from posthog_assets.sources.rest.paginators import Paginator
from posthog_assets.sources.rest.requests import Request
from posthog_assets.storage.rates import Limit

#: No page is longer: it is held in memory.
_PAGE_BYTES: Final = 64 << 20

_STATUS: Final = re.compile(r"HTTP (\d{3})")
_HINTS: Final = {
    "401": "the API does not know these credentials: check source.client.auth",
    "403": "the API knows who asks, and does not allow it: check what the credentials may read",
    "404": "the API has nothing at this address: check source.client.base_url and source.endpoint.path. If that is "
    "normal for some of them, say response_actions: [{status_code: 404, action: ignore}]",
}


class Client(Section):
    """One account at one API."""

    base_url: HttpUrl = Field(description="What all paths begin with")
    headers: dict[str, str] = Field(default_factory=dict, repr=False, description="Sent with each request")
    auth: Auth | None = Field(None, description="How requests prove who asks")
    paginator: Paginator | None = Field(
        None, description="How one page leads to the next; endpoint.paginator comes first"
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, dict):
            auth = value.get("auth")
            if isinstance(auth, dict) and "type" not in auth and "token" in auth:
                value = value | {"auth": auth | {"type": "bearer"}}
        return named_paginator(value)

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not text.isprintable():
                raise ValueError(f"{name!r} and its value cannot be a header")
        return value

    def secrets(self) -> tuple[str, ...]:
        known = self.auth.secrets() if self.auth else []
        texts = [secret.get_secret_value().strip() for secret in known if secret]
        return tuple(dict.fromkeys(text for text in [*texts, *self.secret_headers().values()] if text))

    def secret_headers(self) -> dict[str, str]:
        """Return the headers whose names say that they hold credentials."""
        words = ("key", "token", "secret", "auth", "cookie", "password")
        return {name: text for name, text in self.headers.items() if any(word in name.lower() for word in words)}


def named_paginator(value: Any) -> Any:
    """Let a paginator's name stand for one that says nothing else: `paginator: header_link`."""
    if isinstance(value, dict) and isinstance(value.get("paginator"), str):
        return value | {"paginator": {"type": value["paginator"]}}
    return value


class ResponseAction(Section):
    """What an answer means that has this status, and this text somewhere in it; the first that matches counts."""

    status_code: int | None = Field(None, ge=100, le=599, description="The answer's status")
    content: str | None = Field(None, min_length=1, description="Text that the answer holds")
    action: Literal["ignore", "halve", "retry", "raise"] = Field(
        description="ignore: there is nothing; halve: ask for half the time; retry: try again; raise: end the run"
    )

    @model_validator(mode="after")
    def _matches_something(self) -> ResponseAction:
        if self.status_code is None and self.content is None:
            raise ValueError("needs status_code, content, or both")
        return self

    def matches(self, status: int, text: bytes) -> bool:
        return self.status_code in (None, status) and (self.content or "").encode() in text


@dataclass(frozen=True)
class Page:
    """One answer: as it came (`content`), and as it reads; `members` are its records."""

    content: bytes
    compression: Compression
    headers: Mapping[str, str]
    answer: Any
    members: list[Any]


class RestClient:
    """Asks one API, with its credentials, and within its rates."""

    def __init__(
        self, settings: Client, limits: tuple[Limit, ...], timeout_seconds: float, retry_seconds: float
    ) -> None:
        """Make ready to ask; raises ImportFileError where credentials are missing."""
        auth = settings.auth
        parts = urlsplit(settings.base_url)
        self._headers = settings.headers | (auth.headers() if auth else {})
        self._params = auth.params() if auth else {}
        self._oauth = auth if isinstance(auth, ClientCredentials) else None
        self._renew_at = 0.0
        self._secrets = settings.secrets()
        self._api = Api(
            f"{parts.scheme}://{parts.netloc}", self._headers, self._secrets, limits, timeout_seconds, retry_seconds
        )

    @property
    def hidden_params(self) -> frozenset[str]:
        """Names of the parameters that hold credentials: no link is to be kept with them."""
        return frozenset(self._params)

    @property
    def secrets(self) -> tuple[str, ...]:
        return self._secrets

    def page(
        self, request: Request, select: str, actions: tuple[ResponseAction, ...], *, missing_is_empty: bool = False
    ) -> Page | None:
        """Return a page; None where a response action says that there is nothing.

        Raises:
            TooMuch: a response action says to ask for half the time.
            SourceRefused: the API refuses, or a response action says so.
            BrokenPart: several answers in a row were no JSON, or had no records at *select*.
            SourceUnavailable: there was no answer within `retry_seconds`.
        """

        def fetch() -> Page | None:
            self._renew()
            return self._fetch(request, select, actions, missing_is_empty)

        try:
            try:
                return self._api.persist(fetch)
            except SourceRefused as error:
                if self._oauth is None or _status(error) != "401":
                    raise
                # The token may have been taken back before its time.
                self._renew_at = 0.0
                return self._api.persist(fetch)
        except TooMuch:
            raise
        except SourceRefused as error:
            raise SourceRefused(f"{error}{_hint(error)}") from error

    def _renew(self) -> None:
        if self._oauth is not None and time.monotonic() >= self._renew_at:
            token, self._renew_at = self._oauth.fetch_token(self._api.retry_seconds)
            self._headers["Authorization"] = f"Bearer {token}"
            self._api.secrets = (*self._secrets, token)

    def _fetch(
        self, request: Request, select: str, actions: tuple[ResponseAction, ...], missing_is_empty: bool
    ) -> Page | None:
        _, target = request.target(self._params)
        special = frozenset(action.status_code for action in actions if action.status_code not in (None, 200))
        with self._api.request(request.method, target, json=request.body, deliver=special) as answer:
            if answer is None:
                return None
            content = io.BytesIO()
            answer.copy(content, _PAGE_BYTES)
            text = _decompressed(content.getvalue(), answer, request.shown)
            action = next((action.action for action in actions if action.matches(answer.status, text)), None)
            if action == "ignore":
                return None
            if action or answer.status != 200:
                raise self._objection(action, answer.status, text, request)
            read = parse_answer(text, request.shown)
            is_absent = missing_is_empty and find(read, select) is NOTHING
            members = [] if is_absent else members_at(read, select, request.shown)
            return Page(content.getvalue(), answer.compression, dict(answer.headers), read, members)

    def _objection(self, action: str | None, status: int, text: bytes, request: Request) -> Exception:
        words = self._api.safe(shorten(" ".join(text[:400].decode("utf-8", "replace").split())))
        message = f"{request.shown}: HTTP {status}: {words}"
        match action:
            case "halve":
                return TooMuch(message)
            case "retry":
                return Stopped(message)
            case "raise":
                return SourceRefused(f"{message} (source.endpoint.response_actions says to stop)")
        return SourceRefused(message)


def _decompressed(content: bytes, answer: Answer, shown: str) -> bytes:
    match answer.compression:
        case Compression.NONE:
            return content
        case Compression.GZIP:
            return decompressed(content, shown)
    raise BrokenPart(f"{shown} answers with an archive instead of JSON")


def decompressed(content: bytes, shown: str) -> bytes:
    """Return what a gzip of an answer holds; raises BrokenPart where it is cut off or too long."""
    stream = zlib.decompressobj(31)
    try:
        text = stream.decompress(content, _PAGE_BYTES + 1)
    except zlib.error as error:
        raise BrokenPart(f"{shown}: the answer cannot be decompressed: {error}") from error
    if len(text) > _PAGE_BYTES:
        raise BrokenPart(f"{shown}: the answer is longer than {_PAGE_BYTES >> 20} MiB")
    if not stream.eof:
        raise BrokenPart(f"{shown}: the answer ends early")
    return text


def _status(error: Exception) -> str:
    found = _STATUS.search(str(error))
    return found[1] if found else ""


def _hint(error: Exception) -> str:
    hint = _HINTS.get(_status(error))
    return f". {hint[0].upper()}{hint[1:]}" if hint else ""
