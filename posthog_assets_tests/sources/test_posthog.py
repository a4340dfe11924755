"""From one PostHog project into another: two sandboxes, and a server that misbehaves by script."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from posthog_assets.core.errors import ImportFileError, SourceRefused
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.sources import RawExport, load_source
from posthog_assets.sources.formats import Framing
from posthog_assets.storage.store import Store
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply, Script
from posthog_assets_tests.fakes.killed import kill_during
from posthog_assets_tests.sources.exported import records

DAY = date(2024, 3, 1)
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("pauses")


def event(number: int, at: datetime, name: str = "page seen", **properties: Any) -> dict[str, Any]:
    return {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"posthog {number}")),
        "event": name,
        "distinct_id": f"ann{number % 7}",
        "timestamp": at.isoformat(),
        "properties": {"n": number} | properties,
    }


def store_events(sandbox: Any, events: list[dict[str, Any]]) -> None:
    body = json.dumps({"api_key": "phc_any", "batch": events}).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"{sandbox.url}/batch/", body, {"Content-Type": "application/json"})
    ).read()


@pytest.fixture(scope="module")
def project() -> Iterator[Any]:
    """A project with 60 events on the day, 40 of them at the same instant, and some around its midnights."""
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    from posthog_assets.sandbox import Sandbox

    midnight, microsecond = datetime(2024, 3, 1, tzinfo=UTC), timedelta(microseconds=1)
    with Sandbox() as sandbox:
        store_events(
            sandbox,
            [
                event(1, midnight - microsecond),
                event(2, midnight, "it's \\ odd", **{"$set": {"plan": "pro"}, "$set_once": {"first": "ü"}}),
                *[event(number, NOON) for number in range(3, 43)],
                *[event(number, NOON + timedelta(microseconds=number)) for number in range(43, 58)],
                event(
                    58, NOON, "$groupidentify", **{"$group_type": "company", "$group_key": "a", "$group_set": {"x": 1}}
                ),
                event(59, NOON, "$autocapture", **{"$elements_chain": 'a:href="/"', "$groups": {"company": "a"}}),
                event(60, NOON, "$identify", **{"$anon_distinct_id": "device", "$import_job_id": "older"}),
                event(61, midnight + timedelta(days=1) - microsecond, large=2**53, deep={"list": [1.5, None, "🎉"]}),
                event(62, midnight + timedelta(days=1)),
            ],
        )
        # The same uuid at the same instant under another name is another event.
        store_events(sandbox, [event(3, NOON, "page left")])
        yield sandbox


def source(url: str, **options: Any) -> Any:
    return load_source({"type": "posthog", "host": url, "project_id": 1, "personal_api_key": "phx_s3cret"} | options)


def exported(tmp_path: Path, url: str, **options: Any) -> list[dict[str, Any]]:
    raw = RawExport(Store(str(tmp_path), "copy"), DAY)
    source(url, **options).export(DAY, raw, DAY)
    return records(raw)


def numbers(found: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return sorted((json.loads(record["properties"])["n"], record["event"]) for record in found)


@pytest.mark.parametrize("page_rows", [1, 7, 41, 50_000])
def test_no_page_boundary_loses_or_repeats_an_event(tmp_path: Path, project: Any, page_rows: int) -> None:
    found = numbers(exported(tmp_path, project.url, page_rows=page_rows))
    assert [number for number, _ in found] == [2, 3, *range(3, 62)]
    assert found[1:3] == [(3, "page left"), (3, "page seen")]


def import_of(tmp_path: Path, project: Any, target: Any, **changes: Any) -> Import:
    return small_import(
        tmp_path,
        name="copy",
        source={
            "type": "posthog",
            "host": project.url,
            "project_id": "1",
            "personal_api_key": "phx_a",
            "page_rows": 10,
        },
        dialect={"type": "posthog"},
        mapping={"person_properties": "set"},
        destination={"host": target.url, "project_api_key": "phc_any"},
        **changes,
    )


#: What the import itself adds to an event.
ADDED = {
    "$geoip_disable", "historical_migration", "$import_job_id", "analytics_source", "$import_day", "$import_source_id",
    "$import_mapping", "$ignore_sent_at",
}  # fmt: skip


def content(sandbox: Any) -> set[tuple[Any, ...]]:
    return {
        (name, event, person, at, json.dumps({k: v for k, v in properties.items() if k not in ADDED}, sort_keys=True))
        for name, event, person, at, properties in sandbox.events()
    }


def test_a_copied_project_holds_the_same_events(tmp_path: Path, project: Any, sandbox: Any) -> None:
    imp = import_of(tmp_path, project, sandbox)
    for number in range(-1, 2):
        day = DAY + timedelta(days=number)
        export_day(imp, day)
        stage_day(imp, day)
        transform_day(imp, day)
        deliver_day(imp, day)
    there, here = content(project), content(sandbox)
    assert len(there) == 63
    assert {row[1:] for row in here} == {row[1:] for row in there}
    # Of two events of one instant with one uuid, that with the greater hash gets a uuid of its own: no batch may hold a
    # uuid twice.
    assert [row[1:2] + row[4:] for row in there - here] == [("page left", '{"n": 3}')]


class Stops(RawExport):
    """Is killed after so many pages."""

    pages = 3

    @contextmanager
    def part(
        self, name: str, framing: Framing, origin: str, origin_fingerprint: str = "", *, without_day: bool = False
    ) -> Iterator[IO[bytes]]:
        if not self.pages:
            raise KeyboardInterrupt
        self.pages -= 1
        with super().part(name, framing, origin, origin_fingerprint, without_day=without_day) as sink:
            yield sink


def queries(sandbox: Any) -> int:
    return json.loads(urllib.request.urlopen(f"{sandbox.url}/sandbox/stats").read())["requests_by_path"].get(
        "/api/projects/1/query/", 0
    )


def test_an_interrupted_day_goes_on_after_its_last_page(tmp_path: Path, project: Any) -> None:
    store = Store(str(tmp_path), "copy")
    with pytest.raises(KeyboardInterrupt):
        source(project.url, page_rows=10).export(DAY, Stops(store, DAY), DAY)
    kept = store.read_bytes("raw_export/2024-03-01/page-00002.jsonl.gz")
    before = queries(project)
    again = RawExport(store, DAY)
    source(project.url, page_rows=10).export(DAY, again, DAY)
    assert [number for number, _ in numbers(records(again))] == [2, 3, *range(3, 62)]
    # Ten events a page: the four pages that were missing, and no look at the three that were there.
    assert [part.records for part in again.parts()][:3] == [10, 10, 10]
    assert store.read_bytes("raw_export/2024-03-01/page-00002.jsonl.gz") == kept
    missing = queries(project) - before
    source(project.url, page_rows=10).export(DAY, RawExport(store, DAY), DAY)
    assert queries(project) - before == missing
    whole = RawExport(Store(str(tmp_path), "whole"), DAY)
    source(project.url, page_rows=10).export(DAY, whole, DAY)
    assert queries(project) - before - missing == missing + 3


def export_and_wait(folder: str, url: str) -> None:
    there = SimpleNamespace(url=url)
    export_day(import_of(Path(folder), there, there), DAY)


def test_a_process_that_is_killed_between_pages_leaves_a_day_that_can_be_finished(tmp_path: Path) -> None:
    # Thirty in the first hours, then none, then twenty.
    rows = [row(number, f"{hour:02d}:{number:02d}:00.000000") for number, hour in enumerate([1] * 30 + [20] * 20)]

    def script(asked: Asked, reply: Reply) -> Reply:
        if "01:00:00" in reply.body.decode() and "'2024-03-02" in asked.body.decode():
            return Reply(504, b"too long")
        return replace(reply, trickle=0.2) if "20:40:00" in reply.body.decode() else reply

    with Project(rows, script) as server:
        kill_during(
            export_and_wait,
            str(tmp_path),
            server.url,
            when=lambda: any(b"20:39:00" in asked.body for asked in server.requests),
        )
        server.script = lambda asked, reply: reply
        before = len(server.requests)
        with CaptureServer() as posthog:
            imp = import_of(tmp_path, server, posthog)
            export_day(imp, DAY)
            stage_day(imp, DAY)
            transform_day(imp, DAY)
            deliver_day(imp, DAY)
        assert sorted(event["uuid"] for event in posthog.stored) == sorted(uuid for uuid, *_ in rows)
        begins = [asked.body.decode().partition("toDateTime64('")[2][:26] for asked in server.requests[before:]]
        # The page that was missing, and what comes after it.
        assert begins == [
            "2024-03-01 20:39:00.000000", "2024-03-01 20:49:00.000000", "2024-03-01 21:09:00.000000",
            "2024-03-01 22:29:00.000000",
        ]  # fmt: skip


def test_pages_of_another_question_are_not_reused(tmp_path: Path, project: Any) -> None:
    store = Store(str(tmp_path), "copy")
    with pytest.raises(KeyboardInterrupt):
        source(project.url, page_rows=10).export(DAY, Stops(store, DAY), DAY)
    again = RawExport(store, DAY)
    source(project.url, page_rows=10, events=["page left", "$identify"]).export(DAY, again, DAY)
    assert numbers(records(again)) == [(3, "page left"), (60, "$identify")]


def test_events_and_a_condition_select(tmp_path: Path, project: Any) -> None:
    assert numbers(exported(tmp_path, project.url, events=["it's \\ odd"])) == [(2, "it's \\ odd")]
    found = exported(tmp_path / "other", project.url, where="properties.$set IS NOT NULL OR event = '$autocapture'")
    assert numbers(found) == [(2, "it's \\ odd"), (59, "$autocapture")]
    assert found[1]["elements_chain"] == 'a:href="/"'


def test_a_day_without_events_is_complete(tmp_path: Path, project: Any) -> None:
    raw = RawExport(Store(str(tmp_path), "copy"), date(2020, 1, 1))
    source(project.url).export(date(2020, 1, 1), raw, DAY)
    assert raw.parts() == ()


def test_the_number_of_events_can_be_watched(tmp_path: Path, project: Any) -> None:
    assert source(project.url, count_events=True).fingerprint(DAY) == "settled 61"
    assert source(project.url).fingerprint(DAY) == "settled"
    assert source(project.url).fingerprint(datetime.now(UTC).date()) is None


class Project(ExportServer):
    """Answers every query with the events of a list that lie in its stretch of time, at most *most_rows* of them.

    With *says_limit* it prints the query in its answer as it was run, as PostHog does.
    """

    def __init__(
        self,
        rows: list[list[Any]],
        script: Script = lambda asked, reply: reply,
        *,
        most_rows: int = 50_000,
        says_limit: bool = True,
    ) -> None:
        super().__init__(script)
        self.rows = rows
        self.most_rows = most_rows
        self.says_limit = says_limit

    def reply(self, asked: Asked) -> Reply:
        import re

        query = json.loads(asked.body)["query"]["query"]
        low, high = re.findall(r"toDateTime64\('([^']+)'", query)[:2]
        after = re.search(r"OR id > '([^']+)'", query)
        before, _, asked_for = query.rpartition(" ")
        limit = min(int(asked_for), self.most_rows)
        chosen = [
            row for row in self.rows
            if (low < row[3] < high) or (row[3] == low and (not after or row[0] > after[1]))
        ]  # fmt: skip
        answer: dict[str, Any] = {"results": sorted(chosen, key=lambda row: (row[3], row[0]))[:limit]}
        if self.says_limit:
            answer["hogql"] = f"{before}\n{limit}"
        return Reply(body=json.dumps(answer).encode())


def row(number: int, at: str, arrived: str = "2024-03-01 13:00:00.000000", properties: str = "{}") -> list[Any]:
    return [str(uuid.UUID(int=number)), "seen", "ann", f"2024-03-01 {at}", properties, "", arrived]


def test_a_question_is_asked_with_the_key_and_never_answered_from_a_cache(tmp_path: Path) -> None:
    with Project([row(1, "10:00:00.000001")]) as server:
        (record,) = exported(tmp_path, server.url)
        asked = server.requests[0]
    assert record["timestamp"] == "2024-03-01T10:00:00.000001Z"
    assert (asked.method, asked.path) == ("POST", "/api/projects/1/query/")
    assert asked.headers["Authorization"] == "Bearer phx_s3cret"
    body = json.loads(asked.body)
    assert (body["refresh"], body["query"]["kind"]) == ("force_blocking", "HogQLQuery")
    assert "timestamp >= toDateTime64('2024-03-01 00:00:00.000000', 6, 'UTC')" in body["query"]["query"]


def test_versions_of_an_event_that_posthog_has_not_merged_yet_are_one(tmp_path: Path) -> None:
    versions = [
        row(1, "10:00:00.000000", "2024-03-01 14:00:00.000000", '{"version": 2}'),
        row(1, "10:00:00.000000", "2024-03-01 13:00:00.000000", '{"version": 1}'),
        row(2, "10:00:00.000000"),
    ]
    with Project(versions) as server:
        assert [record["properties"] for record in exported(tmp_path, server.url)] == ['{"version": 2}', "{}"]


def test_versions_whose_times_differ_land_as_one_event_and_are_counted(tmp_path: Path, sandbox: Any) -> None:
    versions = [
        row(1, "10:00:00.123000", "2024-03-01 14:00:00.000000", '{"version": 2}'),
        row(1, "10:00:00.456000", "2024-03-01 13:00:00.000000", '{"version": 1}'),
        row(2, "10:00:01.000000", properties='{"version": 1}'),
    ]
    with Project(versions) as server:
        imp = import_of(tmp_path, server, sandbox)
        export_day(imp, DAY)
        staged, mapped = stage_day(imp, DAY), transform_day(imp, DAY)
        deliver_day(imp, DAY)
    assert (staged.rows, staged.rejected, mapped.rows) == (3, 0, 3)
    assert mapped.reject_reasons == {"replaced by a newer version of the same event": 1}
    assert [(name, at.microsecond, properties["version"]) for name, _, _, at, properties in sandbox.events()] == [
        (str(uuid.UUID(int=1)), 123_000, 2),
        (str(uuid.UUID(int=2)), 0, 1),
    ]


@pytest.mark.parametrize("says_limit", [True, False])
@pytest.mark.parametrize("count", [95, 100])
def test_a_server_that_gives_fewer_rows_than_it_is_asked_for_keeps_none_back(
    tmp_path: Path, count: int, says_limit: bool
) -> None:
    rows = [row(number, f"{number % 24:02d}:30:{number // 24:02d}.000000") for number in range(count)]
    with Project(rows, most_rows=10, says_limit=says_limit) as server:
        assert len({record["uuid"] for record in exported(tmp_path, server.url, page_rows=25)}) == count
        # An empty page is the end; so is one that is shorter than the server says it could be.
        assert len(server.requests) == (10 if count == 95 and says_limit else 11)


@pytest.mark.parametrize(("says_limit", "requests"), [(True, 1), (False, 2)])
def test_a_small_day_is_one_question_where_the_answer_says_that_it_is_all(
    tmp_path: Path, says_limit: bool, requests: int
) -> None:
    with Project([row(1, "00:00:01.0"), row(2, "00:00:02.0")], says_limit=says_limit) as server:
        assert len(exported(tmp_path, server.url)) == 2
        assert len(server.requests) == requests


def test_an_older_posthog_that_gives_fewer_rows_keeps_none_back(tmp_path: Path) -> None:
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    from posthog_assets.sandbox import Sandbox

    with Sandbox(most_rows=7) as older:
        midnight = datetime(2024, 3, 1, tzinfo=UTC)
        store_events(older, [event(number, midnight + timedelta(minutes=45 * number)) for number in range(30)])
        found = exported(tmp_path, older.url, page_rows=25)
        assert [number for number, _ in numbers(found)] == list(range(30))
        assert queries(older) == 5


@pytest.mark.parametrize(
    "answer",
    [Reply(504, b'{"detail": "Query has hit the max execution time"}'), Reply(400, b'{"detail": "memory limit"}')],
)
def test_what_is_too_much_at_once_is_asked_for_in_smaller_stretches(tmp_path: Path, answer: Reply) -> None:
    rows = [row(number, f"{number % 24:02d}:30:00.000000") for number in range(100)]

    def impatient(asked: Asked, reply: Reply) -> Reply:
        return answer if len(json.loads(reply.body)["results"]) > 30 else reply

    with Project(rows, impatient) as server:
        assert len(exported(tmp_path, server.url)) == 100
        assert len(server.requests) > 4


def test_what_is_too_much_in_a_second_is_refused(tmp_path: Path) -> None:
    with Project([row(1, "10:00:00.0")], lambda asked, reply: Reply(504, b"too long")) as server:
        with pytest.raises(Exception, match="HTTP 504: too long") as caught:
            exported(tmp_path, server.url)
    assert "s3cret" not in str(caught.value)


def test_a_rate_limit_is_waited_for_as_asked(tmp_path: Path, pauses: list[float]) -> None:
    def limited(asked: Asked, reply: Reply) -> Reply:
        return Reply(429, b"{}", {"Retry-After": "37"}) if asked.attempt == 1 else reply

    with Project([row(1, "10:00:00.0")], limited) as server:
        assert len(exported(tmp_path, server.url)) == 1
    assert 37.0 in pauses


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Reply(401, b'{"detail": "phx_s3cret is invalid"}'),
            r"401: \(the key\) is invalid \(the key needs the scope",
        ),
        (Reply(400, b'{"detail": "Unable to resolve field: nope"}'), "HTTP 400: Unable to resolve field: nope$"),
    ],
)
def test_what_posthog_refuses_is_said_without_the_key(tmp_path: Path, answer: Reply, words: str) -> None:
    with Project([], lambda asked, reply: answer) as server:
        with pytest.raises(SourceRefused, match=words) as caught:
            exported(tmp_path, server.url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"personal_api_key": None}, "source posthog needs host, project_id and personal_api_key"),
        ({"host": ""}, "source posthog needs host, project_id and personal_api_key"),
        ({"personal_api_key": "phc_a"}, "must be a personal key"),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ImportFileError, match=words):
        exported(tmp_path, "http://127.0.0.1:1", **options)


def test_hosts_that_take_events_are_replaced_by_those_that_answer() -> None:
    assert source("https://eu.i.posthog.com/").host == "https://eu.posthog.com"
    assert source("https://posthog.example.com:8443").host == "https://posthog.example.com:8443"
