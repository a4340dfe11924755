"""Days of Mixpanel through the whole pipeline, whatever its export API does."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import (
    ImportFileError,
    NoExport,
    PosthogAssetsError,
    SourceRefused,
    SourceUnavailable,
    Unavailable,
)
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.verify import verify_day
from posthog_assets.sources import Mixpanel, RawExport, load_source
from posthog_assets.sources.http.answer import Stopped
from posthog_assets.sources.http.api import sleeping_by
from posthog_assets.sources.mixpanel.events import check_end
from posthog_assets_tests.fakes import capture_server as capture
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.export_server import Asked, Reply, Script
from posthog_assets_tests.fakes.killed import kill_during
from posthog_assets_tests.fakes.mixpanel_server import (
    NAMES,
    MixpanelServer,
    Sent,
    at_first,
    corrupted,
    ending,
    plain,
    reordered,
    sent_on,
    too_many,
)

DAY = date(2024, 3, 1)


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with sleeping_by(lambda seconds: None):
        yield


def an_import(
    tmp_path: Path, mixpanel: str, posthog: str, *, source: Any = (), dialect: Any = (), destination: Any = ()
) -> Import:
    return Import.read(
        {
            "name": "mp",
            "start_date": "2024-02-01",
            "storage": str(tmp_path / "data"),
            "source": {
                "type": "mixpanel", "project_id": 7, "service_account": "importer.1",
                "service_account_secret": "s3cret", "host": mixpanel, "timeout_seconds": 5, "retry_seconds": 20,
            }
            | dict(source),
            "dialect": {"type": "mixpanel"} | dict(dialect),
            "destination": {"host": posthog, "project_api_key": "phc_a", "retry_seconds": 0, "batch_events": 100}
            | dict(destination),
        }
    )  # fmt: skip


def run(imp: Import, day: date = DAY) -> tuple[Any, Any, Any]:
    """Take a day all the way; return what staging, mapping and delivery report."""
    export_day(imp, day)
    return stage_day(imp, day), transform_day(imp, day), deliver_day(imp, day)


def landed(posthog: CaptureServer) -> list[tuple[str, str, str, int]]:
    """Return what PostHog was given, repetitions included."""
    return [
        (e["uuid"], e["event"], e["distinct_id"], round(datetime.fromisoformat(e["timestamp"]).timestamp() * 1000))
        for e in posthog.stored
        if e["event"] != "$identify"
    ]


def double(asked: Asked, reply: Reply) -> Reply:
    return replace(reply, body=gzip.compress(reply.body))


def truncated(asked: Asked, reply: Reply) -> Reply:
    return replace(reply, body=reply.body[: len(reply.body) // 2]) if asked.attempt < 3 else reply


def trickling(asked: Asked, reply: Reply) -> Reply:
    return replace(reply, trickle=0.2) if asked.attempt < 2 else reply


RATE_LIMITED = Reply(429, b'{"error":"too many export requests in progress for this project"}', {"Retry-After": "600"})


@pytest.mark.parametrize(
    ("script", "requests"),
    [
        pytest.param(lambda asked, reply: reply, 1, id="stable"),
        pytest.param(plain, 1, id="not compressed"),
        pytest.param(double, 1, id="compressed twice"),
        pytest.param(truncated, 3, id="truncated gzip"),
        pytest.param(lambda asked, reply: replace(reply, half=asked.attempt < 3), 3, id="half of a body"),
        pytest.param(at_first(*[RATE_LIMITED] * 5), 6, id="rate limited"),
        pytest.param(at_first(Reply(504), Reply(502), Reply(500), Reply(None)), 5, id="gateway failures"),
        pytest.param(ending(b"export terminated early", 2), 3, id="terminated early"),
        pytest.param(ending(b"[terminated early]", 1), 2, id="terminated early, bracketed"),
        pytest.param(ending(b'{"error": "internal"}\n', 1), 2, id="an error at the end"),
        pytest.param(ending(b'{"event": "Sign Up", "properties": {"ti', 1), 2, id="half a record at the end"),
    ],
)
def test_a_day_lands_as_it_was_sent(script: Script, requests: int, tmp_path: Path) -> None:
    with MixpanelServer(script) as mixpanel, CaptureServer() as posthog:
        staged, mapped, delivered = run(an_import(tmp_path, mixpanel.url, posthog.url))
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))
        assert (staged.rows, staged.rejected, mapped.rejected, delivered.acknowledged) == (562, 0, 0, 562)
        assert len(mixpanel.exports) == requests


@pytest.mark.parametrize(
    ("last", "rejected"),
    [
        (rb'{"event": "Sign Up", "properties": {"time": 1709287200, "distinct_id": "ann", "bio": "\ud83d"}}', 0),
        (b'{"event": "Sign Up", "properties": {"time": 1709287200, "distinct_id": "ann", "n": NaN}}', 0),
        (b'{"event": "Sign Up", "properties": {"time": 1709287200, "distinct_id": "ann", "n": nan}}', 1),
        (b'{"event": "Sign Up", "properties": {"time": 1709287200, "distinct_id": "ann", "bio": "\xff}"}}', 1),
    ],
)
def test_a_last_record_that_is_odd_but_whole_is_no_end_before_the_end(
    last: bytes, rejected: int, tmp_path: Path
) -> None:
    with MixpanelServer(ending(last, 10**9)) as mixpanel, CaptureServer() as posthog:
        staged, _, delivered = run(an_import(tmp_path, mixpanel.url, posthog.url))
        assert (staged.rows, staged.rejected, delivered.acknowledged) == (282, rejected, 282 - rejected)
        assert len(mixpanel.exports) == 1


@pytest.mark.parametrize(
    "line",
    [
        rb'{"event": "a", "properties": {"bio": "\ud83d', rb'{"event": "a", "properties": {"bio": "\ud83d"}',
        b'{"event": "a"}{"event": "b"}', b'{"event": "a"} terminated early', b'{"event": "a"]', b"[1]", b"\0longer",
        rb'{"error": "\ud83d"}',
    ],
)  # fmt: skip
def test_what_is_not_one_record_to_its_end_is_an_end_before_the_end(line: bytes) -> None:
    with pytest.raises(Stopped, match="ends early, with "):
        check_end(line, "Mixpanel")


def test_posthog_itself_finds_what_was_sent(tmp_path: Path, sandbox: Any) -> None:
    with MixpanelServer(lines=reordered, repeated=3) as mixpanel:
        destination = {"personal_api_key": "phx_a", "project_id": 1, "landing_seconds": 5}
        for delay in (40_000, 5):
            source = {"look_back_days": delay}
            imp = an_import(tmp_path, mixpanel.url, sandbox.url, source=source, destination=destination)
            run(imp)
            landing = verify_day(imp, DAY)
            assert landing is not None
            assert (landing.acknowledged, landing.landed, landing.missing) == (562, 562, {})
        found = {(uuid, name, user, round(at.timestamp() * 1000)) for uuid, name, user, at, _ in sandbox.events()}
        assert found == mixpanel.truth(DAY)
        assert len(mixpanel.exports) == 2
        assert sandbox.stats()["rows"] == 562


def test_a_body_that_stands_still_is_fetched_again(tmp_path: Path) -> None:
    with MixpanelServer(trickling, count=20) as mixpanel, CaptureServer() as posthog:
        run(an_import(tmp_path, mixpanel.url, posthog.url, source={"timeout_seconds": 1}))
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))
        assert len(mixpanel.exports) == 2


def test_letters_of_several_bytes_survive_every_boundary(tmp_path: Path) -> None:
    def shifted(lines: list[bytes], asked: Asked, chance: Any) -> list[bytes]:
        # Blocks end after 256 KiB: one byte more in front turns the halves of all that follow.
        return [line.replace(b'"note": "', b'"note": "' + b"." * (n % 2) + "ü".encode() * 30_000) for n, line in
                enumerate(lines)]  # fmt: skip

    with MixpanelServer(plain, count=60, lines=shifted) as mixpanel, CaptureServer() as posthog:
        run(an_import(tmp_path, mixpanel.url, posthog.url))
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))
        notes = {event["properties"]["note"].strip(".ü") for event in posthog.stored}
        assert notes == {""}


def test_what_mixpanel_exports_twice_is_sent_once_and_counted(tmp_path: Path) -> None:
    with MixpanelServer(repeated=3, lines=reordered) as mixpanel, CaptureServer() as posthog:
        staged, mapped, _ = run(an_import(tmp_path, mixpanel.url, posthog.url))
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))
        assert (staged.rows, mapped.reject_reasons) == (565, {"repeats an earlier record": 3})


def test_a_day_that_is_exported_again_sends_only_what_came_late(tmp_path: Path) -> None:
    with MixpanelServer(lines=reordered, repeated=3) as mixpanel, CaptureServer() as posthog:
        young = an_import(tmp_path, mixpanel.url, posthog.url, source={"look_back_days": 40_000})
        run(young)
        first = (tmp_path / "data/mp/raw_export/2024-03-01/2024-03-01.jsonl.gz").read_bytes()
        assert run(young)[2].requests == 0
        assert len(mixpanel.exports) == 1
        mixpanel.late[DAY] = sent_on(DAY, 17, "late-")
        settled = an_import(tmp_path, mixpanel.url, posthog.url)
        _, _, delivered = run(settled)
        assert (tmp_path / "data/mp/raw_export/2024-03-01/2024-03-01.jsonl.gz").read_bytes() != first
        assert len(mixpanel.exports) == 2
        assert (delivered.already_acknowledged, delivered.acknowledged) == (562, 579)
        # Nothing was sent twice.
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))


def test_an_insert_id_under_several_payloads_keeps_its_uuids_in_any_order(tmp_path: Path) -> None:
    def retold(lines: list[bytes], asked: Asked, chance: Any) -> list[bytes]:
        again = [line.replace(b"Firefox", browser) for line in lines[:5] for browser in (b"Safari", b"Opera")]
        return reordered(lines + again, asked, chance)

    with MixpanelServer(lines=retold, count=50) as mixpanel, CaptureServer() as posthog:
        run(an_import(tmp_path, mixpanel.url, posthog.url, source={"look_back_days": 40_000}))
        _, mapped, delivered = run(an_import(tmp_path, mixpanel.url, posthog.url))
        assert (mapped.reused_ids, delivered.already_acknowledged, delivered.requests) == (10, 60, 0)
        assert {uuid for uuid, *_ in landed(posthog)} > {uuid for uuid, *_ in mixpanel.truth(DAY)}


def test_people_whom_mixpanel_merges_later_do_not_send_their_events_again(tmp_path: Path) -> None:
    def merged(lines: list[bytes], asked: Asked, chance: Any) -> list[bytes]:
        found = [json.loads(line) for line in lines]
        for record in found:
            properties = record["properties"]
            properties["distinct_id"] = tracked = f"$device:{properties['distinct_id']}"
            if asked.attempt > 1:
                properties |= {"distinct_id": "ann", "$distinct_id_before_identity": tracked}
        return [json.dumps(record).encode() for record in found]

    with MixpanelServer(lines=merged, count=50) as mixpanel, CaptureServer() as posthog:
        more: dict[str, Any] = {"dialect": {"identity": "as_tracked"}}
        run(an_import(tmp_path, mixpanel.url, posthog.url, source={"look_back_days": 40_000}, **more))
        assert {event["event"] for event in posthog.stored}.isdisjoint({"$identify"})
        _, mapped, _ = run(an_import(tmp_path, mixpanel.url, posthog.url, **more))
        expected = {(uuid, name, f"$device:{user}", at) for uuid, name, user, at in mixpanel.truth(DAY)}
        assert sorted(landed(posthog)) == sorted(expected)
        links = {(e["distinct_id"], e["properties"]["$anon_distinct_id"]) for e in posthog.stored
                 if e["event"] == "$identify"}  # fmt: skip
        assert links == {("ann", user) for _, _, user, _ in expected}
        assert mapped.derived == len(links)


def test_a_corrupt_line_is_one_rejected_row(tmp_path: Path) -> None:
    with MixpanelServer(lines=corrupted(77)) as mixpanel, CaptureServer() as posthog:
        staged, _, _ = run(an_import(tmp_path, mixpanel.url, posthog.url))
        lost = mixpanel.sent(DAY)[77].truth()
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY) - {lost})
        assert (staged.rows, staged.rejected) == (562, 1)
        assert next(iter(staged.reject_reasons)).startswith("not valid JSON")


def test_what_is_no_event_is_rejected_with_its_reason_and_the_rest_lands(tmp_path: Path) -> None:
    def odd(lines: list[bytes], asked: Asked, chance: Any) -> list[bytes]:
        nobody, replay = (json.loads(line) for line in lines[:2])
        nobody["properties"] |= {"distinct_id": "", "$insert_id": "nobody"}
        replay |= {"event": "$mp_session_record"}
        return [*lines, json.dumps(nobody).encode(), json.dumps(replay).encode()]

    with MixpanelServer(lines=odd) as mixpanel, CaptureServer() as posthog:
        staged, _, _ = run(an_import(tmp_path, mixpanel.url, posthog.url))
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))
        assert staged.reject_reasons == {
            "record has no id of a user or device": 1,
            "left out, it says that there is a replay, which Mixpanel does not export": 1,
        }


@pytest.mark.parametrize(
    "reply", [Reply(400, b'{"error":"too large"}'), Reply(413), Reply(504), Reply(delay=2.5)], ids=repr
)
def test_a_day_that_is_too_large_is_asked_for_by_names(reply: Reply, tmp_path: Path) -> None:
    with MixpanelServer(too_many(1, reply)) as mixpanel, CaptureServer() as posthog:
        source = {"events": [*NAMES, NAMES[0]], "timeout_seconds": 1}
        run(an_import(tmp_path, mixpanel.url, posthog.url, source=source))
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))
        asked = [json.loads(asked.fields["event"]) for asked in mixpanel.exports]
        assert sorted(map(len, asked)) == [1, 1, 1, 1, 2, 2, 4]
        assert len(list((tmp_path / "data/mp/raw_export/2024-03-01").glob("*.jsonl.gz"))) == 4


def test_an_export_by_names_that_was_interrupted_keeps_its_parts(tmp_path: Path) -> None:
    def script(asked: Asked, reply: Reply) -> Reply:
        if broken and asked.fields["event"] == json.dumps([NAMES[3]], ensure_ascii=False):
            return Reply(403, b"no access")
        return too_many(1, Reply(413))(asked, reply)

    broken = True
    with MixpanelServer(script) as mixpanel, CaptureServer() as posthog:
        imp = an_import(tmp_path, mixpanel.url, posthog.url, source={"events": list(NAMES)})
        with pytest.raises(SourceRefused, match="HTTP 403: no access"):
            export_day(imp, DAY)
        with pytest.raises(PosthogAssetsError, match="was interrupted for 2024-03-01: materialize raw_export"):
            stage_day(imp, DAY)
        before = len(mixpanel.exports)
        broken = False
        run(imp)
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))
        assert len(mixpanel.exports) - before == 1


def export_and_wait(folder: str, url: str) -> None:
    source = {"events": list(NAMES), "timeout_seconds": 60}
    export_day(an_import(Path(folder), url, "http://127.0.0.1:9", source=source), DAY)


@pytest.mark.end_to_end
def test_a_process_that_is_killed_between_groups_of_names_leaves_a_day_that_can_be_finished(tmp_path: Path) -> None:
    def script(asked: Asked, reply: Reply) -> Reply:
        names = json.loads(asked.fields["event"])
        return replace(reply, trickle=0.2) if names == [third] else too_many(1, Reply(413))(asked, reply)

    def names_asked_for() -> list[list[str]]:
        return [json.loads(asked.fields["event"]) for asked in mixpanel.exports]

    *_, third, fourth = sorted(NAMES)
    with MixpanelServer(script) as mixpanel, CaptureServer() as posthog:
        kill_during(export_and_wait, str(tmp_path), mixpanel.url, when=lambda: [third] in names_asked_for())
        before = len(mixpanel.exports)
        mixpanel.script = too_many(1, Reply(413))
        run(an_import(tmp_path, mixpanel.url, posthog.url, source={"events": list(NAMES)}))
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))
        # The first half is there. Of the second nobody knows yet that it is too much at once.
        assert names_asked_for()[before:] == [[third, fourth], [third], [fourth]]


def test_a_process_that_dies_while_sending_goes_on_where_it_was(tmp_path: Path) -> None:
    left = 3

    def script(asked: capture.Asked) -> capture.Reply | None:
        nonlocal left
        left -= 1
        return None if left >= 0 else capture.Reply(None, take=False)

    with MixpanelServer(lines=reordered) as mixpanel, CaptureServer(script) as posthog:
        imp = an_import(tmp_path, mixpanel.url, posthog.url)
        with pytest.raises(Unavailable):
            run(imp)
        assert 0 < len(landed(posthog)) < 562
        left = 100
        run(imp)
        assert sorted(landed(posthog)) == sorted(mixpanel.truth(DAY))
        assert len(mixpanel.exports) == 1


@pytest.mark.parametrize(
    ("script", "source", "error", "words"),
    [
        (lambda asked, reply: Reply(404, b"nothing here"), {}, SourceRefused, "HTTP 404: nothing here"),
        (lambda asked, reply: reply, {"service_account_secret": "wr0ng"}, SourceRefused,
         "HTTP 401: Unable to authenticate request, see docs"),
        (lambda asked, reply: reply, {"project_id": 8}, SourceRefused, "HTTP 400: Invalid project_id"),
        (lambda asked, reply: Reply(400, b"too much for s3cret"), {}, SourceRefused,
         r"HTTP 400: too much for \(the key\)\. If 2024-03-01 is too much for Mixpanel at once, name the events"),
        (lambda asked, reply: Reply(413), {"events": ["a"]}, SourceRefused, "HTTP 413: .* narrow source.where"),
        (lambda asked, reply: Reply(504), {"retry_seconds": 0}, SourceUnavailable, "HTTP 504: .* name the events"),
        (lambda asked, reply: replace(reply, body=reply.body[:-40]), {}, PosthogAssetsError, "cannot be read"),
        (ending(b"export terminated early", 10**9), {"retry_seconds": 0}, SourceUnavailable,
         "ends early, with 'export terminated early'"),
        (lambda asked, reply: reply, {"service_account": None, "service_account_secret": None}, ImportFileError,
         "make a service account"),
    ],
)  # fmt: skip
def test_a_day_that_cannot_be_had_fails_and_says_why(
    script: Script, source: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with MixpanelServer(script, count=20) as mixpanel, CaptureServer() as posthog:
        imp = an_import(tmp_path, mixpanel.url, posthog.url, source=source)
        with pytest.raises(error, match=words) as raised:
            run(imp)
        assert "s3cret" not in str(raised.value)
        assert posthog.stored == []


def test_a_day_without_events_is_empty_and_complete(tmp_path: Path) -> None:
    with MixpanelServer(lambda asked, reply: Reply()) as mixpanel, CaptureServer() as posthog:
        imp = an_import(tmp_path, mixpanel.url, posthog.url)
        staged, _, delivered = run(imp)
        assert (staged.rows, delivered.events, export_day(imp, DAY).parts) == (0, 0, ())
        assert len(mixpanel.exports) == 1
    with MixpanelServer(count=0) as mixpanel, CaptureServer() as posthog:
        assert run(an_import(tmp_path / "gzip", mixpanel.url, posthog.url))[0].rows == 0


def test_neighbouring_days_share_no_event(tmp_path: Path) -> None:
    with MixpanelServer(count=80) as mixpanel, CaptureServer() as posthog:
        imp = an_import(tmp_path, mixpanel.url, posthog.url, source={"where": 'properties["plan"] == "pro"'})
        days = [date(2024, 3, 2), DAY, date(2024, 2, 29)]
        for day in days:
            run(imp, day)
        assert sorted(landed(posthog)) == sorted(set().union(*map(mixpanel.truth, days)))
        assert [asked.fields for asked in mixpanel.exports] == [
            {
                "project_id": "7", "from_date": str(day), "to_date": str(day), "time_in_ms": "true",
                "where": 'properties["plan"] == "pro"',
            }
            for day in days
        ]  # fmt: skip


def test_a_project_made_before_2023_lands_at_the_real_instants(tmp_path: Path) -> None:
    zone = {"timezone": "America/Los_Angeles"}
    with MixpanelServer(count=40) as mixpanel, CaptureServer() as posthog:
        run(an_import(tmp_path, mixpanel.url, posthog.url, source=zone, dialect=zone))
        assert sorted(landed(posthog)) == sorted(
            (uuid, name, user, at + 8 * 3_600_000) for uuid, name, user, at in mixpanel.truth(DAY)
        )


def test_the_same_lines_from_a_bucket_land_as_the_same_events(tmp_path: Path) -> None:
    folder = tmp_path / "7" / "2024" / "03" / "01" / "full_day"
    folder.mkdir(parents=True)
    sent: list[Sent] = sent_on(DAY, 300)
    body = b"\n".join(event.line(random.Random(1)) for event in sent)
    (folder / "0.json.gz").write_bytes(gzip.compress(body))
    with CaptureServer() as posthog:
        imp = an_import(tmp_path, "https://unused.example", posthog.url)
        files = load_source(
            {"type": "files", "path": f"{tmp_path}/7/{{day:%Y/%m/%d}}/full_day/*.json.gz", "format": "jsonl"}
        )
        run(imp.model_copy(update={"source": files}))
        assert sorted(landed(posthog)) == sorted(event.truth() for event in sent)


@pytest.mark.parametrize(
    ("zone", "instant"),
    [("UTC", "2024-03-02T01:00"), ("Asia/Tokyo", "2024-03-01T16:00"), ("America/Los_Angeles", "2024-03-02T09:00")],
)
def test_a_day_is_complete_when_the_project_says_so(zone: str, instant: str) -> None:
    source = load_source({"type": "mixpanel", "project_id": 7, "timezone": zone, "look_back_days": 3})
    assert source.available_at(DAY) == datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert (source.settled_at(DAY) - source.available_at(DAY)).days == 3
    assert source.pool == "mixpanel_7"


def test_a_day_that_is_not_over_is_not_exported(tmp_path: Path) -> None:
    imp = an_import(tmp_path, "https://unused.example", "https://unused.example")
    later = datetime.now(UTC).date()
    assert imp.source.fingerprint(later) is None
    with pytest.raises(NoExport, match=rf"Mixpanel's {later} \(UTC\) is complete at .*: materialize it then"):
        imp.source.export(later, RawExport(imp.store, later), later)


def test_other_wishes_are_another_export() -> None:
    def fingerprint(**wish: Any) -> str | None:
        return load_source({"type": "mixpanel", "project_id": 7} | wish).fingerprint(DAY)

    wishes: list[dict[str, Any]] = [{}, {"events": ["a"]}, {"where": "x"}, {"project_id": 8}, {"region": "eu"}]
    assert len({fingerprint(**wish) for wish in wishes}) == 5
    assert fingerprint(events=["b", "a", "a"]) == fingerprint(events=["a", "b"])


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us", "https://data.mixpanel.com"),
        ("eu", "https://data-eu.mixpanel.com"),
        ("in", "https://data-in.mixpanel.com"),
    ],
)
def test_every_region_has_its_host(region: str, host: str) -> None:
    source = load_source({"type": "mixpanel", "project_id": 7, "region": region})
    assert isinstance(source, Mixpanel)
    assert source.export_host == host


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"region": "de"}, "source.region"),
        ({"host": "data.mixpanel.com"}, "must be a URL"),
        ({"timezone": "Mars"}, "is no time zone"),
        ({"project_secret": "p"}, "either service_account and service_account_secret, or project_secret; not both"),
        ({"look_back_days": -1}, "look_back_days"),
        ({"project_id": "my shop"}, "project_id"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=words) as raised:
        an_import(tmp_path, "https://unused.example", "https://unused.example", source=wrong)
    assert "s3cret" not in str(raised.value)


def test_the_secret_of_the_project_will_do_until_it_retires(tmp_path: Path) -> None:
    source = {"service_account": None, "service_account_secret": None, "project_secret": "abc"}
    with MixpanelServer(count=5) as mixpanel, CaptureServer() as posthog:
        imp = an_import(tmp_path, mixpanel.url, posthog.url, source=source)
        with pytest.raises(SourceRefused, match="HTTP 401"):
            export_day(imp, DAY)
        assert mixpanel.exports[0].headers["Authorization"] == "Basic YWJjOg=="
        assert imp.source.secrets() == ("abc",)
        assert "abc" not in repr(imp.source)
