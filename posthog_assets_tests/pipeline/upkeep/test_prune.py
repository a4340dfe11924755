"""Deleting files of imported days: what goes, what stays, and what is said when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import orjson
import pytest

from posthog_assets.core.errors import ImportFileError, MissingUpstream, Refused
from posthog_assets.orchestration.sensors.new_data_plan import is_pinned
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.owed import owed_events
from posthog_assets.pipeline.day_state.rejected import rejections
from posthog_assets.pipeline.day_state.settled import Settled
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.upkeep.prune import prune
from posthog_assets.pipeline.verify import verify_day
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.store import Store
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply
from posthog_assets_tests.fakes.object_store import options, s3_server
from posthog_assets_tests.records.shop import invoke, write_import

DAY = date(2024, 3, 1)
ALL: dict[str, Any] = {"raw_export": 30, "staged_events": 7, "posthog_events": 90}
LINES = [
    '{"id":"1","user":"ann","at":"2024-03-01T10:00:00Z","what":"page"}',
    '{"id":"2","user":"ann","at":"not a time","what":"page"}',
    '{"id":"3","user":"bob","at":"2024-03-01T10:00:01Z","what":"page"}',
    '{"id":"4","user":"null","at":"2024-03-01T10:00:02Z","what":"page"}',
]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    pytest.importorskip("moto", reason="needs moto[server]")
    pytest.importorskip("s3fs", reason="needs the extra posthog_assets[s3]")
    with s3_server() as url:
        yield url


@pytest.fixture(params=["local disk", pytest.param("object store", marks=pytest.mark.end_to_end)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Import]]:
    """Make the import of one day, stored on a local disk or an object store; changes replace attributes."""
    elsewhere: dict[str, Any] = {}
    if request.param == "object store":
        url = request.getfixturevalue("s3")
        elsewhere = {"storage": f"s3://history/{tmp_path.name}", "storage_options": options(url)}
    (tmp_path / "exports").mkdir()
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(LINES) + "\n")
    with CaptureServer() as server:

        def made(**changes: Any) -> Import:
            destination = {"host": server.url, "project_api_key": "phc_any", "retry_seconds": 0.1}
            return small_import(tmp_path, **(elsewhere | {"retention": ALL, "destination": destination} | changes))

        yield made


def imported(imp: Import) -> Import:
    for step in (export_day, stage_day, transform_day, deliver_day):
        step(imp, DAY)
    return imp


def after(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def stored(imp: Import) -> list[str]:
    names = [f"raw/{name}" for name in RawExport(imp.store, DAY).stored()]
    names += [f"staged/{name}" for name in imp.store.names("staged_events")]
    return [name.split("-")[0] for name in names + [f"events/{name}" for name in imp.store.names("posthog_events")]]


def test_each_asset_goes_when_its_own_time_after_the_acknowledgement_is_over(make: Callable[..., Import]) -> None:
    imp = imported(make())
    for days, left in (
        (6.9, ["raw/2024", "staged/2024", "events/2024"]),
        (7.1, ["raw/2024", "events/2024"]),
        (30.1, ["events/2024"]),
        (90.1, []),
    ):
        prune(imp, dry_run=False, now=after(days))
        assert stored(imp) == left


class TakenOver(Store):
    """A store in which another run takes the day over while its files are looked at."""

    def open(self, relative: str) -> IO[bytes]:
        if relative.startswith("posthog_events/"):
            lease = self.path(f".locks/staged_events-{DAY}.json")
            lease.write_bytes(orjson.dumps({"owner": "another", "number": 2, "process": 1, "host": "other"}))
        return super().open(relative)


def test_nothing_goes_of_a_day_that_another_run_has_taken_over(make: Callable[..., Import], tmp_path: Path) -> None:
    imp = imported(make(storage=f"memory://{tmp_path.name}"))
    taken = imp.stored_in(TakenOver(imp.storage_url, imp.name))
    assert prune(taken, dry_run=False, now=after(91)).left == {"a run works on it": [DAY]}
    assert stored(imp) == ["raw/2024", "staged/2024", "events/2024"]


def test_the_ledger_the_manifest_and_the_rejected_records_stay(make: Callable[..., Import]) -> None:
    imp = imported(make())
    before = [row for batch in rejections(imp.store, DAY) for row in batch.to_pylist()]
    prune(imp, dry_run=False, now=after(91))
    assert imp.store.names("imported_batches/2024-03-01") == [
        "batches", "ledger.parquet", "rejected.parquet", "settled.json",
    ]  # fmt: skip
    assert len(imp.store.names("imported_batches/2024-03-01/batches")) == 1
    assert [part.records for part in RawExport(imp.store, DAY).parts()] == [4]
    assert [row for batch in rejections(imp.store, DAY) for row in batch.to_pylist()] == before
    assert [(row["asset"], row["source_id"] or row["raw_line"]) for row in before] == [
        ("staged_events", 2),
        ("posthog_events", "4"),
    ]


def test_a_dry_run_says_the_same_and_deletes_nothing(make: Callable[..., Import]) -> None:
    imp = imported(make())
    said = prune(imp, dry_run=True, now=after(31))
    assert stored(imp) == ["raw/2024", "staged/2024", "events/2024"]
    done = prune(imp, dry_run=False, now=after(31))
    assert [(item.day, item.asset) for item in done.pruned] == [(DAY, "raw_export"), (DAY, "staged_events")]
    assert done.pruned == said.pruned
    assert done.bytes == said.bytes > sum(map(len, LINES))


def test_what_was_pruned_is_asked_for_in_vain_and_told_how_to_come_back(make: Callable[..., Import]) -> None:
    imp = imported(make())
    prune(imp, dry_run=False, now=after(91))
    today = datetime.now(UTC).date()
    for step, words in (
        (stage_day, f"small/raw_export of 2024-03-01 was pruned on {today}, after it had been imported: materialize "
         "raw_export for 2024-03-01 again to fetch it again"),
        (transform_day, "small/staged_events of 2024-03-01 was pruned after it had been imported: materialize "
         "raw_export, staged_events for 2024-03-01 again"),
        (deliver_day, "small/posthog_events of 2024-03-01 was pruned after it had been imported: materialize "
         "raw_export, staged_events, posthog_events for 2024-03-01 again"),
    ):  # fmt: skip
        with pytest.raises(MissingUpstream) as error:
            step(imp, DAY)
        assert str(error.value) == words
    # Nobody looks without a personal key, pruned or not.
    assert verify_day(imp, DAY) is None


def test_a_pruned_day_is_fetched_again_and_nothing_of_it_is_sent_again(make: Callable[..., Import]) -> None:
    imp = imported(make())
    prune(imp, dry_run=False, now=after(91))
    export_day(imp, DAY)
    assert not RawExport(imp.store, DAY).is_pruned
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    report = deliver_day(imp, DAY)
    assert (report.sent, report.already_acknowledged) == (0, 2)


def test_a_pruned_day_counts_as_pinned_so_that_no_sensor_exports_it_again(make: Callable[..., Import]) -> None:
    imp = imported(make())
    fingerprint = imp.source.fingerprint(DAY)
    assert fingerprint is not None
    prune(imp, dry_run=False, now=after(91))
    assert is_pinned(imp.store, DAY, fingerprint)
    assert not is_pinned(imp.store, DAY, "another")
    assert owed_events(imp.store, DAY) is None


NOT_IMPORTED = "not imported completely (or by an older version: materialize imported_batches)"


def test_a_day_that_was_never_sent_stays(make: Callable[..., Import]) -> None:
    imp = make()
    for step in (export_day, stage_day, transform_day):
        step(imp, DAY)
    assert prune(imp, dry_run=False, now=after(900)).left == {NOT_IMPORTED: [DAY]}
    assert stored(imp) == ["raw/2024", "staged/2024", "events/2024"]


def test_a_day_that_owes_events_stays(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(LINES) + "\n")
    refuses = [True]
    with CaptureServer(lambda asked: Reply(401, b"unknown key") if refuses[0] else None) as server:
        imp = small_import(
            tmp_path, retention=ALL, destination={"host": server.url, "project_api_key": "phc_any", "batch_events": 1}
        )
        with pytest.raises(Refused):
            imported(imp)
        assert prune(imp, dry_run=False, now=after(900)).left == {NOT_IMPORTED: [DAY]}
        refuses[0] = False
        deliver_day(imp, DAY)
    assert len(prune(imp, dry_run=False, now=after(900)).pruned) == 3


@pytest.mark.parametrize(
    ("made_again", "asset"),
    [((export_day,), "raw_export"), ((export_day, stage_day), "raw_export"), ((transform_day,), "posthog_events")],
)
def test_files_that_were_made_again_and_not_imported_since_stay(
    make: Callable[..., Import], tmp_path: Path, made_again: tuple[Any, ...], asset: str
) -> None:
    imp = imported(make())
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(LINES[:3]) + "\n")
    other = make(mapping={"properties": {"add": {"more": 1}}})
    for step in made_again:
        step(other, DAY)
    done = prune(imp, dry_run=False, now=after(900))
    assert done.left == {f"{asset} was made again and not imported since (materialize what comes after it)": [DAY]}
    assert stored(imp) == ["raw/2024", "staged/2024", "events/2024"]


def test_an_interrupted_export_stays(make: Callable[..., Import]) -> None:
    imp = imported(make())
    RawExport(imp.store, DAY).begin("another position")
    assert prune(imp, dry_run=False, now=after(900)).left == {"raw_export is not complete (materialize it)": [DAY]}


def test_a_day_that_a_run_works_on_stays(make: Callable[..., Import]) -> None:
    imp = imported(make())
    with imp.store.lock("posthog_events", "2024-03-01"):
        assert prune(imp, dry_run=False, now=after(900)).left == {"a run works on it": [DAY]}
    assert prune(imp, dry_run=False, now=after(900)).left == {}


def test_without_a_policy_everything_stays(make: Callable[..., Import]) -> None:
    imp = imported(make(retention={}))
    done = prune(imp, dry_run=False, now=after(9_000))
    assert (done.pruned, done.left) == ([], {})


def test_sending_nothing_again_does_not_begin_the_time_again(make: Callable[..., Import]) -> None:
    imp = imported(make())
    first = Settled.read(imp.store, DAY)
    deliver_day(imp, DAY)
    assert first is not None
    assert Settled.read(imp.store, DAY) == first


def test_a_pruning_that_was_killed_halfway_is_finished_by_the_next(make: Callable[..., Import]) -> None:
    imp = imported(make())
    raw = RawExport(imp.store, DAY)
    (name,) = raw.stored()
    content = imp.store.read_bytes(f"raw_export/2024-03-01/{name}")
    raw.prune()
    imp.store.write_bytes(f"raw_export/2024-03-01/{name}", content)
    prune(imp, dry_run=False, now=after(31))
    assert RawExport(imp.store, DAY).stored() == {}


def test_where_a_query_looks_the_time_begins_when_everything_was_found(tmp_path: Path, shared_sandbox: Any) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(LINES) + "\n")
    imp = small_import(
        tmp_path, name="landing", retention={"raw_export": 1, "posthog_events": 1},
        destination={"host": shared_sandbox.url, "project_api_key": "phc_any", "personal_api_key": "phx_any",
                     "project_id": "1", "landing_seconds": 20},
    )  # fmt: skip
    imported(imp)
    words = "not found in PostHog by a query yet (materialize landed_events)"
    assert prune(imp, dry_run=False, now=after(9)).left == {words: [DAY]}
    verify_day(imp, DAY)
    assert prune(imp, dry_run=False, now=after(0.9)).left == {"not old enough": [DAY]}
    done = prune(imp, dry_run=False, now=after(1.1))
    assert [item.asset for item in done.pruned] == ["raw_export", "posthog_events"]
    with pytest.raises(
        MissingUpstream, match="landing/posthog_events of 2024-03-01 was pruned .* materialize posthog_e"
    ):
        verify_day(imp, DAY)


def test_what_was_not_found_is_owed_and_its_day_stays(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(LINES) + "\n")

    def nothing_landed(asked: Any) -> Reply | None:
        return Reply(200, b'{"results": []}') if "/api/projects/" in asked.path else None

    with CaptureServer(nothing_landed) as server:
        imp = small_import(
            tmp_path, retention={"raw_export": 0},
            destination={"host": server.url, "project_api_key": "phc_any", "personal_api_key": "phx_any",
                         "project_id": "1", "landing_seconds": 0},
        )  # fmt: skip
        imported(imp)
        assert Settled.read(imp.store, DAY) is not None
        landing = verify_day(imp, DAY)
    assert landing is not None
    assert {event: len(uuids) for event, uuids in landing.missing.items()} == {"page": 2}
    assert Settled.read(imp.store, DAY) is None


# --- the import file, the command, the schedule -------------------------------------------------------------


def test_a_schedule_without_anything_to_prune_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="automation.prune has nothing to do"):
        small_import(tmp_path, automation={"prune": True})


def test_the_command_says_what_goes_and_what_stays(project: Path) -> None:
    with CaptureServer() as server:
        imp = write_import(project, server.url, retention={"raw_export": 0, "staged_events": 30})
        for step in (export_day, stage_day, transform_day, deliver_day):
            step(imp, DAY)
        said = invoke(project, "prune", "shop", "--dry-run")
        done = invoke(project, "prune", "shop")
        again = invoke(project, "prune", "shop")
    size = sum(part.bytes for part in RawExport(imp.store, DAY).parts())
    assert [said.exit_code, done.exit_code, again.exit_code] == [0, 0, 0]
    assert said.output.splitlines()[-1] == f"shop: {size:,} bytes would be freed"
    assert done.output.splitlines()[-1] == f"shop: {size:,} bytes freed"
    assert again.output.splitlines() == ["1 day stays: not old enough: 2024-03-01", "shop: 0 bytes freed"]


def test_a_stores_own_files_are_never_taken_for_days(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"), "small")
    store.write_bytes("raw_export/people/manifest.json", b"{}")
    assert prune(small_import(tmp_path, retention=ALL), dry_run=False).left == {}
