"""All profiles of a project, page by page, whatever happens between two pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from posthog_assets.core.errors import MissingUpstream, SourceRefused, SourceUnavailable
from posthog_assets.dialects import Mixpanel as Dialect
from posthog_assets.sources import Mixpanel, RawExport
from posthog_assets.sources.http.api import sleeping_by
from posthog_assets.sources.mixpanel.profiles import export_profiles
from posthog_assets.storage.store import Store
from posthog_assets_tests.fakes.export_server import Asked, Reply
from posthog_assets_tests.fakes.mixpanel_server import MixpanelServer

DAY = date(2024, 3, 1)


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with sleeping_by(lambda seconds: None):
        yield


@pytest.fixture
def raw(tmp_path: Path) -> Callable[[], RawExport]:
    """Return a function that opens the export as another process would."""
    return lambda: RawExport(Store(str(tmp_path), "mp"), DAY)


def project(url: str, **settings: Any) -> Mixpanel:
    account = {"project_id": 7, "service_account": "importer.1", "service_account_secret": "s3cret"}
    return Mixpanel.model_validate(account | {"host": url, "retry_seconds": 20} | settings)


def people(raw: RawExport) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in raw.parts():
        with raw.open(part) as file:
            for line in file:
                yield Dialect().profile(orjson.loads(line))


def pages(server: MixpanelServer) -> list[tuple[int, str | None]]:
    return [(int(asked.fields["page"]), asked.fields.get("session_id")) for asked in server.requests]


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (7, 1), (10, 2), (23, 3)])
def test_every_profile_is_there_once(count: int, requests: int, raw: Callable[[], RawExport]) -> None:
    with MixpanelServer(profiles=count) as server:
        export_profiles(project(server.url), raw())
        assert dict(people(raw())) == {f"user-{n}": {"name": f"N. {n}"} for n in range(count)}
        assert sum(part.records for part in raw().parts()) == count
        assert pages(server) == [(page, "session-1" if page else None) for page in range(requests)]
        assert server.requests[0].fields["project_id"] == "7"


def refusing(page: str, reply: Reply) -> Callable[[Asked, Reply], Reply]:
    return lambda asked, usual: reply if asked.fields["page"] == page else usual


@pytest.mark.parametrize("reply", [Reply(403), Reply(body=b'{"error":"try later"}'), Reply(body=b"<html>")], ids=repr)
def test_an_interrupted_export_goes_on_with_the_page_it_had_not(reply: Reply, raw: Callable[[], RawExport]) -> None:
    with MixpanelServer(refusing("2", reply), profiles=35) as server:
        with pytest.raises((SourceRefused, SourceUnavailable)):
            export_profiles(project(server.url), raw())
        with pytest.raises(MissingUpstream):
            raw().parts()
        server.requests.clear()
        server.script = lambda asked, usual: usual
        export_profiles(project(server.url), raw())
        assert pages(server) == [(2, "session-1"), (3, "session-1")]
        assert len(dict(people(raw()))) == 35


def test_a_session_that_mixpanel_has_forgotten_begins_again(raw: Callable[[], RawExport]) -> None:
    with MixpanelServer(refusing("2", Reply(403)), profiles=35) as server:
        with pytest.raises(SourceRefused):
            export_profiles(project(server.url), raw())
        server.requests.clear()
        server.script = lambda asked, usual: usual
        server.sessions.append("session-2")
        export_profiles(project(server.url), raw())
        expected = [(2, "session-1"), (0, None), (1, "session-2"), (2, "session-2"), (3, "session-2")]
        assert pages(server) == expected
        assert len(list(people(raw()))) == 35


def test_a_page_that_is_cut_short_or_delayed_is_asked_for_again(raw: Callable[[], RawExport]) -> None:
    def script(asked: Asked, usual: Reply) -> Reply:
        if asked.attempt == 1:
            return Reply(429, headers={"Retry-After": "1800"})
        return Reply(usual.status, usual.body, usual.headers, half=asked.attempt == 2)

    with MixpanelServer(script, profiles=23) as server:
        export_profiles(project(server.url), raw())
        assert len(dict(people(raw()))) == 23
        assert len(server.requests) == 9


def test_fewer_profiles_than_there_are_is_no_success(raw: Callable[[], RawExport]) -> None:
    short = b'{"results":[],"page":1,"page_size":10,"session_id":"session-1","total":23}'
    with MixpanelServer(refusing("1", Reply(body=short)), profiles=23) as server:
        with pytest.raises(SourceUnavailable, match="gave 10 of 23 profiles: run this again"):
            export_profiles(project(server.url), raw())
        with pytest.raises(MissingUpstream):
            raw().parts()
        server.script = lambda asked, usual: usual
        export_profiles(project(server.url), raw())
        assert len(dict(people(raw()))) == 23


def test_a_later_export_replaces_an_earlier_one(raw: Callable[[], RawExport]) -> None:
    with MixpanelServer(profiles=35) as server:
        export_profiles(project(server.url), raw())
        server.profiles = 12
        server.sessions.append("session-2")
        export_profiles(project(server.url), raw())
        assert len(list(people(raw()))) == 12


def test_wrong_credentials_are_refused(raw: Callable[[], RawExport]) -> None:
    with MixpanelServer(profiles=1) as server:
        with pytest.raises(SourceRefused, match="HTTP 401: Unable to authenticate request"):
            export_profiles(project(server.url, service_account_secret="wr0ng"), raw())
