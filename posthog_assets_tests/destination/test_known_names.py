"""Which names a project knows: asked in bounded questions, without what this import has brought itself."""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

from posthog_assets.core.markers import Markers
from posthog_assets.destination.known_names import known_events, known_properties
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

MARKERS = Markers()


def server(rows: Callable[[str], list[list[object]]]) -> CaptureServer:
    def script(asked: Asked) -> Reply:
        return Reply(200, orjson.dumps({"results": rows(asked.body["query"]["query"])}))

    return CaptureServer(script)


def client(url: str) -> QueryClient:
    return QueryClient(Destination.model_validate({"host": url, "personal_api_key": "phx_a", "project_id": 7}))


def names_in(query: str) -> list[str]:
    return re.findall(r"'(name-\d+)'", query)


def test_every_name_is_asked_for_once_however_many_there_are() -> None:
    names = [f"name-{n}" for n in range(1_001)]
    with server(lambda query: [[name, 1] for name in names_in(query) if name.endswith("7")]) as posthog:
        found = known_events(client(posthog.url), names, "shop", MARKERS)
    assert found == {name for name in names if name.endswith("7")}
    asked = [names_in(one.body["query"]["query"]) for one in posthog.requests]
    assert [len(part) for part in asked] == [500, 500, 1]
    assert sorted(name for part in asked for name in part) == sorted(names)


def test_a_name_is_asked_for_as_it_is_and_this_imports_own_events_do_not_count() -> None:
    with server(lambda query: []) as posthog:
        assert known_events(client(posthog.url), ["it's"], "o'shop", Markers.model_validate({"import": "job"})) == set()
    query = posthog.requests[0].body["query"]["query"]
    assert r"event IN ('it\'s')" in query
    assert r"coalesce(properties.job, '') != 'o\'shop'" in query


def test_without_names_nothing_is_asked() -> None:
    with server(lambda query: []) as posthog:
        assert known_events(client(posthog.url), [], "shop", MARKERS) == set()
    assert posthog.requests == []


def test_properties_are_those_of_all_events_of_the_sample() -> None:
    with server(lambda query: [['{"a":1,"b":{"c":1}}'], ['{"d":null}'], ["{}"]]) as posthog:
        assert known_properties(client(posthog.url), "shop", MARKERS) == {"a", "b", "d"}
    query = posthog.requests[0].body["query"]["query"]
    assert query.endswith("LIMIT 2000")
    assert "coalesce(properties.$import_job_id, '') != 'shop'" in query


def test_a_project_without_events_knows_nothing_and_one_without_properties_knows_none() -> None:
    with server(lambda query: []) as posthog:
        assert known_properties(client(posthog.url), "shop", MARKERS) is None
    with server(lambda query: [["{}"]]) as posthog:
        assert known_properties(client(posthog.url), "shop", MARKERS) == set()
