"""Whole days of Amplitude, through every fault of its export API: what lands is the truth, or the day fails loudly."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthog_assets.core.errors import (
    BrokenPart,
    ImportFileError,
    MissingUpstream,
    NoExport,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from posthog_assets.destination.settings import Destination
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.sources import amplitude
from posthog_assets_tests.examples import examples
from posthog_assets_tests.fakes.amplitude_server import (
    API_KEY,
    IMPORT,
    PASSING,
    SECRET_KEY,
    UNREADABLE,
    AmplitudeServer,
    Day,
    archive,
    hours_of,
    make_day,
    repacked,
    shuffled,
)
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.export_server import Asked, Reply, Script
from posthog_assets_tests.fakes.killed import kill_during
from posthog_assets_tests.pipeline.test_whole_way import checks, destination, materialize

DATE = date(2024, 3, 1)


pytestmark = pytest.mark.usefixtures("pauses")


def importing(folder: Path, url: str, capture: str = "http://127.0.0.1:9", /, **source: Any) -> Import:
    keys = {"api_key": API_KEY, "secret_key": SECRET_KEY, "host": url, "timeout_seconds": 5, "retry_seconds": 60}
    return Import.read(
        {
            "name": IMPORT,
            "start_date": "2024-03-01",
            "storage": str(folder),
            "source": {"type": "amplitude"} | keys | source,
            "dialect": {"type": "amplitude"},
            # The truth knows every pair; by default a device of several users is linked to the first.
            "mapping": {"shared_devices": "all"},
            "destination": {"host": capture, "project_api_key": "phc_any"},
        }
    )


def landed(folder: Path, url: str, **source: Any) -> tuple[set[Any], set[Any], int]:
    """Take the day the whole way; return the events and the pairs of ids that landed, and how many were rejected."""
    with CaptureServer() as capture:
        imp = importing(folder, url, capture.url, **source)
        manifest = export_day(imp, DATE)
        staged = stage_day(imp, DATE)
        mapped = transform_day(imp, DATE)
        assert deliver_day(imp, DATE).owed == 0
    assert staged.rows == sum(part.records for part in manifest.parts)
    events = [event for event in capture.stored if event["event"] != "$identify"]
    links = [event for event in capture.stored if event["event"] == "$identify"]
    assert len(events) == staged.rows - staged.rejected - mapped.rejected
    return (
        {
            (e["uuid"], e["event"], e["distinct_id"], datetime.fromisoformat(e["timestamp"]).astimezone(UTC))
            for e in events
        },
        {(e["distinct_id"], e["properties"]["$anon_distinct_id"]) for e in links},
        staged.rejected + mapped.rejected,
    )


def truth(day: Day) -> tuple[set[Any], set[Any], int]:
    return day.events, day.pairs, day.rejected


def corrupted(member: bytes) -> bytes:
    return gzip.compress(b'{"uuid": "x", "event_type\n' + gzip.decompress(member) + b"\xff\xfe\n\n")


BEHAVIOURS: dict[str, Script] = {
    "stable": lambda asked, reply: reply,
    "other bytes each time": lambda asked, reply: shuffled(reply, len(asked.fields["end"]) + asked.attempt),
    "compressed once more": lambda asked, reply: reply.gzipped(),
    "too large for more than three hours": lambda asked, reply: Reply(400) if len(hours_of(asked)) > 3 else reply,
    "too large for more than an hour": lambda asked, reply: Reply(400) if len(hours_of(asked)) > 1 else reply,
    "too slow for more than two hours": lambda asked, reply: Reply(504) if len(hours_of(asked)) > 2 else reply,
} | {
    f"once: {name}": lambda asked, reply, fault=fault: fault(reply) if asked.attempt == 1 else reply
    for name, fault in PASSING.items()
}  # type: ignore[misc]


@pytest.mark.parametrize("hours", [6, 24])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_what_lands_is_the_truth(tmp_path: Path, behaviour: str, hours: int) -> None:
    day = make_day(1)
    with AmplitudeServer(day, BEHAVIOURS[behaviour]) as server:
        assert landed(tmp_path, server.url, hours_per_request=hours) == truth(day)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1000),
    faults=st.lists(st.sampled_from(sorted(PASSING)), max_size=4),
    hours=st.sampled_from([3, 12]),
)
@pytest.mark.end_to_end
def test_any_row_of_faults_ends_with_the_truth_or_loudly(
    tmp_path_factory: pytest.TempPathFactory, seed: int, faults: list[str], hours: int
) -> None:
    day = make_day(seed, hours=(2, 14), each=7)

    def script(asked: Asked, reply: Reply) -> Reply:
        return PASSING[faults[asked.attempt - 1]](reply) if asked.attempt <= len(faults) else reply

    folder = tmp_path_factory.mktemp("faults")
    with AmplitudeServer(day, script) as server:
        try:
            assert landed(folder, server.url, hours_per_request=hours) == truth(day)
        except SourceError:
            assert sum(fault in UNREADABLE for fault in faults) >= 3
            server.script = lambda asked, reply: reply
            assert landed(folder, server.url, hours_per_request=hours) == truth(day)


def test_late_uploads_come_with_the_delivery_that_is_kept_and_never_with_half_of_one(tmp_path: Path) -> None:
    before, after = make_day(1, hours=(3,), each=6), make_day(1, hours=(3,), each=12)

    def late(asked: Asked, reply: Reply) -> Reply:
        server.day = after
        return replace(reply, half=True) if asked.attempt == 1 else reply

    with AmplitudeServer(before, late) as server:
        assert landed(tmp_path, server.url) == truth(after)
        asked = len(server.requests)
        export_day(importing(tmp_path, server.url), DATE)
        assert len(server.requests) == asked


def test_a_corrupt_line_is_a_rejected_row_and_nothing_else_is_lost(tmp_path: Path) -> None:
    day = make_day(2, hours=(4,))
    with AmplitudeServer(day, lambda asked, reply: repacked(reply, corrupted)) as server:
        events, pairs, rejected = landed(tmp_path, server.url)
    # Two members, two bad lines in each.
    assert (events, pairs, rejected) == (day.events, day.pairs, day.rejected + 4)


def test_letters_that_lie_across_blocks_stay_whole(tmp_path: Path) -> None:
    day = make_day(3, hours=(9,), each=40, padding=9_001)
    with AmplitudeServer(day) as server:
        assert landed(tmp_path, server.url) == truth(day)
    texts = pq.read_table(tmp_path / IMPORT / "posthog_events/2024-03-01.parquet")["properties"].to_pylist()
    notes = {json.loads(text).get("note") for text in texts}
    assert notes == {"ü😀" * 9_001, "😀" * 9_001, None}


def test_waiting_as_amplitude_asks(tmp_path: Path, pauses: list[float]) -> None:
    with AmplitudeServer(make_day(1, hours=(0,)), BEHAVIOURS["once: rate limit"]) as server:
        landed(tmp_path, server.url)
    assert pauses == [7.0] * 4


def test_a_body_that_trickles_is_given_up_and_asked_for_again(tmp_path: Path) -> None:
    day = make_day(1, hours=(0,))
    slow: Script = lambda asked, reply: replace(reply, trickle=0.05) if asked.attempt == 1 else reply  # noqa: E731
    with AmplitudeServer(day, slow) as server:
        assert landed(tmp_path, server.url, timeout_seconds=0.4) == truth(day)


def test_no_answer_in_time_is_asked_again_in_halves(tmp_path: Path) -> None:
    day = make_day(1, hours=(0, 5))
    slow: Script = lambda asked, reply: replace(reply, delay=0.6) if len(hours_of(asked)) == 6 else reply  # noqa: E731
    with AmplitudeServer(day, slow) as server:
        assert landed(tmp_path, server.url, timeout_seconds=0.3, hours_per_request=6) == truth(day)
        assert [len(hours_of(asked)) for asked in server.requests] == [6, 3, 3] * 4


@pytest.mark.parametrize("fault", sorted(UNREADABLE))
def test_what_stays_unreadable_fails_the_day_and_leaves_nothing_to_stage(tmp_path: Path, fault: str) -> None:
    with AmplitudeServer(make_day(1), lambda asked, reply: PASSING[fault](reply)) as server:
        imp = importing(tmp_path, server.url)
        with pytest.raises(BrokenPart):
            export_day(imp, DATE)
        assert len(server.requests) == 3
        with pytest.raises(MissingUpstream, match="raw_export was interrupted for 2024-03-01"):
            stage_day(imp, DATE)


def test_an_hour_that_is_too_large_names_the_way_out(tmp_path: Path) -> None:
    with AmplitudeServer(make_day(1), lambda asked, reply: Reply(400, b"Export size exceeds 4GB")) as server:
        with pytest.raises(SourceRefused, match=r"HTTP 400: Export size exceeds 4GB\. .* S3 .* source\.type: files"):
            export_day(importing(tmp_path, server.url), DATE)
        assert [len(hours_of(asked)) for asked in server.requests] == [6, 3, 2, 1]
    with AmplitudeServer(make_day(1), lambda asked, reply: Reply(504, b"timeout")) as server:
        with pytest.raises(SourceUnavailable, match=r"HTTP 504: timeout; tried for 60 s\. If it is these hours only"):
            export_day(importing(tmp_path, server.url), DATE)


def test_a_delivery_larger_than_allowed_is_asked_for_in_halves(tmp_path: Path) -> None:
    day = make_day(1)
    with AmplitudeServer(day) as server:
        assert landed(tmp_path / "a", server.url, max_part_bytes=6_000, hours_per_request=24) == truth(day)
        with pytest.raises(SourceRefused, match=r"more than 100 bytes at once: refused \(source\.max_part_bytes\)"):
            export_day(importing(tmp_path / "b", server.url, max_part_bytes=100), DATE)


def test_wrong_credentials_are_one_sentence_without_them(tmp_path: Path) -> None:
    with AmplitudeServer(make_day(1)) as server:
        with pytest.raises(
            SourceRefused, match="HTTP 403: Forbidden; check source.api_key and source.secret_key"
        ) as no:
            export_day(importing(tmp_path, server.url, secret_key="wr0ng-secret"), DATE)
        assert len(server.requests) == 1
    assert "wr0ng-secret" not in str(no.value)


def test_a_day_is_asked_for_when_it_is_complete_and_not_before(tmp_path: Path) -> None:
    with AmplitudeServer(make_day(1)) as server:
        imp = importing(tmp_path, server.url)
        today = datetime.now(UTC).date()
        assert imp.source.fingerprint(today) is None
        assert imp.source.available_at(DATE) == datetime(2024, 3, 2, 3, tzinfo=UTC)
        assert imp.source.settled_at(DATE) == imp.source.available_at(DATE)
        with pytest.raises(NoExport, match=f"Amplitude's export of {today} is complete at .* 03:00 UTC"):
            export_day(imp, today)
        assert not server.requests


def test_a_day_without_uploads_is_empty(tmp_path: Path) -> None:
    with AmplitudeServer(Day()) as server:
        assert landed(tmp_path, server.url) == (set(), set(), 0)
    with AmplitudeServer(Day(), lambda asked, reply: Reply(body=archive({}))) as server:
        assert landed(tmp_path / "zips", server.url, empty_archives="empty") == (set(), set(), 0)


def test_an_interrupted_export_goes_on_after_its_last_part_and_its_splits(tmp_path: Path) -> None:
    day = make_day(4)

    def breaking(asked: Asked, reply: Reply) -> Reply:
        if hours_of(asked)[0] >= 12:
            return Reply(403)
        return Reply(400) if len(hours_of(asked)) > 3 else reply

    with AmplitudeServer(day, breaking) as server:
        with pytest.raises(SourceRefused):
            export_day(importing(tmp_path, server.url), DATE)
        server.script = lambda asked, reply: reply
        done = len(server.requests)
        assert landed(tmp_path, server.url) == truth(day)
        # 00-05 and 06-11 were delivered in halves; of 09-11 there was nothing, and nothing remembers that.
        assert [(hours_of(asked)[0], len(hours_of(asked))) for asked in server.requests[done:]] == [
            (9, 3), (12, 6), (18, 6),
        ]  # fmt: skip


def export_and_wait(folder: str, url: str) -> None:
    export_day(importing(Path(folder), url, timeout_seconds=60), DATE)


@pytest.mark.end_to_end
def test_a_process_that_is_killed_between_parts_leaves_a_day_that_can_be_finished(tmp_path: Path) -> None:
    day = make_day(5)
    hang: Script = lambda asked, reply: replace(reply, trickle=0.2) if hours_of(asked)[0] == 6 else reply  # noqa: E731
    with AmplitudeServer(day, hang) as server:
        kill_during(export_and_wait, str(tmp_path), server.url, when=lambda: len(server.requests) == 2)
        server.script = lambda asked, reply: reply
        assert landed(tmp_path, server.url) == truth(day)
        assert [hours_of(asked)[0] for asked in server.requests] == [0, 6, 6, 12, 18]


@pytest.mark.parametrize("wrong", ["host", "region"])
def test_a_place_that_knew_of_no_uploads_is_forgotten_when_it_is_corrected(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = make_day(1)
    with AmplitudeServer(Day()) as nowhere, AmplitudeServer(day) as server:
        monkeypatch.setattr(amplitude, "_HOSTS", {"us": nowhere.url, "eu": server.url})
        settings = {"host": nowhere.url, "region": "eu"} if wrong == "host" else {"host": None, "region": "us"}
        assert landed(tmp_path, "", **settings) == (set(), set(), 0)
        assert landed(tmp_path, "", host=None, region="eu") == truth(day)


@pytest.mark.parametrize(
    ("place", "position"),
    [
        ({"region": "us"}, "settled e82ffbe33e0d"),
        ({"host": "https://amplitude.com/"}, "settled e82ffbe33e0d"),
        ({"region": "eu"}, "settled 0936e1c6e39a"),
        ({"host": "https://proxy.example"}, "settled 06f1c5a2a97e"),
    ],
)
def test_what_was_exported_from_the_usual_place_stays_what_it_is(
    place: dict[str, str], position: str, tmp_path: Path
) -> None:
    assert importing(tmp_path, "", **{"host": None} | place).source.fingerprint(DATE) == position


def test_a_day_that_was_pinned_before_places_were_noted_is_not_fetched_again(tmp_path: Path) -> None:
    day, key = make_day(1), "e82ffbe33e0d"
    manifest = tmp_path / IMPORT / "raw_export/2024-03-01/manifest.json"
    with AmplitudeServer(day) as server:
        imp = importing(tmp_path, server.url)
        export_day(imp, DATE)
        pinned = json.loads(manifest.read_bytes())
        parts = [part | {"origin_fingerprint": key} for part in pinned["parts"]]
        # One that came from here stays, one that came from elsewhere or is empty does not.
        for there, requests in (
            (parts, 4),
            ([part | {"origin": "https://elsewhere.example/api/2/export"} for part in parts], 8),
            ([], 12),
        ):
            manifest.write_text(json.dumps(pinned | {"position": f"settled {key}", "parts": there}))
            assert export_day(imp, DATE).position == pinned["position"]
            assert len(server.requests) == requests


def test_another_project_is_another_export(tmp_path: Path) -> None:
    with AmplitudeServer(make_day(1)) as server:
        first = importing(tmp_path, server.url).source.fingerprint(DATE)
        other = importing(tmp_path, server.url, api_key="another").source.fingerprint(DATE)
    assert first != other
    assert API_KEY not in str(first)


def test_amplitudes_own_export_to_a_bucket_reads_with_the_files_source(tmp_path: Path) -> None:
    day = make_day(6)
    bucket = tmp_path / "bucket" / "123456"
    bucket.mkdir(parents=True)
    for hour, lines in day.lines.items():
        for part in (0, 1):
            name = f"123456_2024-03-01_{hour}#{part}.json.gz"
            (bucket / name).write_bytes(gzip.compress(b"\n".join(lines[part::2]) + b"\n"))
        (bucket / f"123456_2024-03-01_{hour}_complete").write_bytes(b"")
    (bucket / "-789_2024-03-01_3.json.gz").write_bytes(gzip.compress(b'{"amplitude_id":1,"merged_amplitude_id":2}\n'))
    (bucket / "123456_2024-03-02_0#0.json.gz").write_bytes(gzip.compress(b"{}\n"))
    with CaptureServer() as capture:
        imp = importing(tmp_path, "", capture.url).model_dump(mode="json", include={"start_date", "dialect"})
        source = {"type": "files", "path": f"{bucket}/123456_{{day}}_*#*.json.gz", "format": "jsonl"}
        imp |= {"name": IMPORT, "storage": str(tmp_path), "source": source}
        bucketed = Import.read(imp | {"destination": {"host": capture.url, "project_api_key": "phc_any"}})
        export_day(bucketed, DATE)
        staged = stage_day(bucketed, DATE)
        transform_day(bucketed, DATE)
        deliver_day(bucketed, DATE)
    assert {e["uuid"] for e in capture.stored if e["event"] != "$identify"} == {event[0] for event in day.events}
    assert staged.rejected == day.rejected


def test_a_day_of_amplitude_lands_through_the_assets(tmp_path: Path, sandbox: Any) -> None:
    day = make_day(7)
    with AmplitudeServer(day, BEHAVIOURS["too large for more than three hours"]) as server:
        imp = importing(tmp_path, server.url)
        whole = imp.model_copy(update={"destination": Destination.model_validate(destination(sandbox))})
        result = materialize(whole, "2024-03-01")
    assert result.success
    assert checks(result)["everything_acknowledged_has_landed"]
    assert {
        (event_uuid, event, distinct_id, at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000))
        for event_uuid, event, distinct_id, at, _ in sandbox.events()
        if event != "$identify"
    } == {(*rest, at.replace(microsecond=at.microsecond // 1000 * 1000)) for *rest, at in day.events}


def test_settings_that_cannot_be_are_explained_and_keys_are_never_shown(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=r"source\.region: .*'us' or 'eu'.*\(found asia\)"):
        importing(tmp_path, "", region="asia")
    with pytest.raises(ImportFileError, match=r"source\.hours_per_request: .*24, 12, 6, 3 or 1"):
        importing(tmp_path, "", hours_per_request=5)
    with pytest.raises(ImportFileError, match=r"source\.host: .*must be a URL that starts with https://"):
        importing(tmp_path, "amplitude.com")
    with pytest.raises(ImportFileError, match=r"source\.api_key and source\.secret_key are both needed: Amplitude >"):
        export_day(importing(tmp_path, "", secret_key=None), DATE)
    assert SECRET_KEY not in repr(importing(tmp_path, ""))
    assert importing(tmp_path, "").source.secrets() == (SECRET_KEY, API_KEY)
