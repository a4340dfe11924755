"""Mixpanel's profiles: all of a project's people, page by page.

Belongs here: paging through the Engage API so that it can go on after an interruption. Does not belong here: what a
profile means (`dialects.mixpanel`), events (`mixpanel`).

Reference: docs.mixpanel.com/reference/engage-query. The first answer names a session; its pages are one state of the
project, and a page that is not full is the last.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from posthog_assets.core.errors import SourceRefused, SourceUnavailable, shorten
from posthog_assets.core.json_text import dump_line, load_any
from posthog_assets.sources.formats import Compression, Format, Framing
from posthog_assets.sources.http.api import Api
from posthog_assets.sources.manifest import RawExport
from posthog_assets.sources.mixpanel.events import Mixpanel

_HOSTS: Final = {"us": "https://mixpanel.com", "eu": "https://eu.mixpanel.com", "in": "https://in.mixpanel.com"}

_PATH: Final = "/api/query/engage"

#: A page holds a thousand profiles as a rule, each of a few kilobytes.
_PAGE_BYTES: Final = 256 << 20

_FRAMING: Final = Framing(Format.JSONL, Compression.NONE)


def export_profiles(source: Mixpanel, raw: RawExport) -> None:
    """Pin every profile of the project as it is now: one part a page, one profile a line.

    An interrupted export goes on in its session, or starts again where Mixpanel has forgotten that. The profiles of an
    earlier, complete export are replaced.

    Raises:
        SourceRefused: Mixpanel refuses the request.
        SourceUnavailable: it did not answer, or gave fewer profiles than it says there are.
    """
    api = source.api(source.host or _HOSTS[source.region])
    begun = raw.interrupted.position if raw.interrupted else ""
    if begun.startswith("{"):
        try:
            _Pages(source, api, raw, orjson.loads(begun)).fetch()
            return
        except SourceRefused:
            # A session that Mixpanel has forgotten; if it refuses everything, a new one shows that.
            pass
    _Pages(source, api, raw, None).fetch()


class _Pages:
    def __init__(self, source: Mixpanel, api: Api, raw: RawExport, session: dict[str, Any] | None) -> None:
        self._api = api
        self._raw = raw
        self._project = source.project_id
        self._session = session
        self._resumes = session is not None
        if session:
            raw.begin(_position(session))

    def fetch(self) -> None:
        page, count = 0, 0
        while True:
            profiles = self._pinned(page)
            if profiles is None:
                profiles = self._fetched(page)
            assert self._session is not None
            page, count = page + 1, count + profiles
            if profiles < self._session["page_size"]:
                break
        if count < self._session["total"]:
            # What this session gave is not worth going on with.
            self._raw.begin("given up")
            raise SourceUnavailable(
                f"{self._api.base}{_PATH} gave {count:,} of {self._session['total']:,} profiles: run this again"
            )
        self._raw.complete()

    def _pinned(self, page: int) -> int | None:
        """Return how many profiles a page holds that an interrupted export left; None where there is none."""
        if (
            not self._resumes
            or not self._session
            or not self._raw.keep_if_current(_name(page), _position(self._session))
        ):
            return None
        found = self._raw.interrupted
        return next((part.records for part in found.parts if part.name == _name(page)), None) if found else None

    def _fetched(self, page: int) -> int:
        answer = self._api.persist(lambda: self._ask(page))
        if self._session is None:
            self._session = {name: answer[name] for name in ("session_id", "page_size", "total")}
            self._raw.begin(_position(self._session))
        origin = f"{self._api.base}{_PATH} [page {page}]"
        with self._raw.part(_name(page), _FRAMING, origin, _position(self._session)) as sink:
            for profile in answer["results"]:
                sink.write(dump_line(profile))
        return len(answer["results"])

    def _ask(self, page: int) -> dict[str, Any]:
        fields: dict[str, Any] = {"page": page}
        if self._session:
            fields["session_id"] = self._session["session_id"]
        body = self._api.read("POST", f"{_PATH}?project_id={self._project}", _PAGE_BYTES, fields=fields)
        try:
            content = load_any(body, lambda sentence: None)
        except orjson.JSONDecodeError:
            content = None
        if isinstance(content, dict) and content.get("error"):
            raise SourceRefused(self._api.safe(f"{self._api.base}{_PATH}: {shorten(content['error'])}"))
        if not _is_page(content):
            raise SourceUnavailable(f"{self._api.base}{_PATH} answers with no page of profiles: {shorten(body[:200])}")
        return content | {"total": content["total"] if type(content.get("total")) is int else 0}


def _is_page(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get("results"), list)
        and isinstance(content.get("session_id"), str)
        and type(content.get("page_size")) is int
        and content["page_size"] > 0
    )


def _position(session: dict[str, Any]) -> str:
    return orjson.dumps(session, option=orjson.OPT_SORT_KEYS).decode()


def _name(page: int) -> str:
    return f"profiles-{page:06d}.jsonl"
