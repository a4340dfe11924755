"""Every contract of the storage on an object store, against a real S3 server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import PartitionBusy, StorageUnavailable
from posthog_assets.orchestration.assets.metadata import day_profile
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage import leases
from posthog_assets.storage.layout import staged_path
from posthog_assets.storage.parquet import read_batches
from posthog_assets.storage.store import Store
from posthog_assets.storage.timing import Timing
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply
from posthog_assets_tests.fakes.object_store import between, options, s3_server

pytest.importorskip("moto", reason="needs moto[server]")
pytest.importorskip("s3fs", reason="needs the extra posthog_assets[s3]")

DAY = date(2024, 3, 1)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as url:
        yield url


def briefly(seconds: float) -> None:
    time.sleep(min(seconds, 0.3))


QUICK = Timing(sleep=briefly)
#: Of leases whose holders are stopped or killed.
BRIEF = Timing(life=3.0, skew=0.3, settle=0.3, sleep=briefly)


def store(url: str, name: str, timing: Timing = QUICK) -> Store:
    return Store(f"s3://history/{name}", "shop", options(url), timing)


def requests_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the requests that s3fs has sent since this was asked last."""
    calls = [record.getMessage() for record in caplog.records if record.name == "s3fs"]
    caplog.clear()
    return [text.split(" - ")[0].removeprefix("CALL: ") for text in calls if text.startswith("CALL: ")]


def test_a_small_object_and_a_lease_are_read_by_one_request(s3: str, caplog: pytest.LogCaptureFixture) -> None:
    one = store(s3, "small")
    with caplog.at_level("DEBUG", "s3fs"):
        one.write_bytes("a", b"b")
        requests_of(caplog)
        assert one.read_bytes("a") == b"b"
        assert requests_of(caplog) == ["get_object"]
        with one.lock("raw_export", "2024-03-01") as holding:
            requests_of(caplog)
            holding.confirm()
            assert requests_of(caplog) == ["get_object"]
    with pytest.raises(FileNotFoundError):
        one.read_bytes("gone")


def test_a_folder_of_many_days_is_one_listing(s3: str, caplog: pytest.LogCaptureFixture) -> None:
    one = store(s3, "listed")
    for day in (1, 2, 3):
        one.write_bytes(f"imported_batches/2024-03-0{day}/ledger.parquet", b"x")
    # What a console makes for a folder.
    one._files.pipe_file(f"{one.path('imported_batches').path}/", b"")
    one.write_bytes("imported_batches/group_types.json", b"[]")
    with caplog.at_level("DEBUG", "s3fs"):
        assert one.folders("imported_batches") == ["2024-03-01", "2024-03-02", "2024-03-03"]
        assert requests_of(caplog) == ["list_objects_v2"]
    assert one.names("imported_batches") == ["2024-03-01", "2024-03-02", "2024-03-03", "group_types.json"]
    assert (one.names("gone"), one.folders("gone")) == ([], [])


def importing(
    tmp_path: Path, url: str, name: str, destination: str, events: int = 40, timing: Timing = QUICK
) -> Import:
    folder = tmp_path / "exports"
    folder.mkdir(exist_ok=True)
    (folder / f"{DAY}.jsonl").write_text(
        "".join(
            f'{{"id":"{n}","user":"u{n % 7}","at":"2024-03-01T10:{n // 60:02}:{n % 60:02}Z","what":"page"}}\n'
            for n in range(events)
        )
    )
    return small_import(
        tmp_path, storage=f"s3://history/{name}", storage_options=options(url),
        destination={"host": destination, "project_api_key": "phc_any", "batch_events": 5, "concurrency": 2,
                     "retry_seconds": 20},
    ).stored_in(Store(f"s3://history/{name}", "small", options(url), timing))  # fmt: skip


def run(imp: Import) -> Any:
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    return deliver_day(imp, DAY)


def test_a_file_appears_whole_or_not_at_all(s3: str) -> None:
    shop = store(s3, "whole")
    shop.write_bytes("a/one.json", b"1")
    with pytest.raises(RuntimeError), shop.atomic_write("a/one.json") as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert shop.read_bytes("a/one.json") == b"1"
    with pytest.raises(RuntimeError), shop.atomic_write("a/two.json") as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert (shop.exists("a/two.json"), shop.names("a"), shop.folders("")) == (False, ["one.json"], ["a"])


def test_what_others_write_is_seen_at_once(s3: str) -> None:
    mine, theirs = store(s3, "seen"), store(s3, "seen")
    assert mine.names("batches") == []
    theirs.write_bytes("batches/1", b"one")
    assert mine.names("batches") == ["1"]
    with mine.open("batches/1") as file:
        assert file.read() == b"one"
    theirs.write_bytes("batches/1", b"two!")
    with mine.open("batches/1") as file:
        assert (file.read(), mine.size("batches/1")) == (b"two!", 4)
    theirs.delete("batches/1")
    theirs.delete("batches/1")
    assert not mine.exists("batches/1")
    with pytest.raises(FileNotFoundError):
        mine.open("batches/1")


def test_a_day_goes_its_whole_way_on_an_object_store_and_nothing_is_sent_twice(s3: str, tmp_path: Path) -> None:
    with CaptureServer() as server:
        imp = importing(tmp_path, s3, "way", server.url)
        assert (run(imp).sent, run(imp).sent) == (40, 0)
        assert len(set(server.uuids())) == len(server.uuids()) == 40


def test_a_run_downloads_each_file_once_and_its_metadata_no_file(s3: str, tmp_path: Path) -> None:
    fetched: Counter[str] = Counter()

    def count(method: str, path: str, size: int) -> None:
        if method == "GET" and path.endswith((".parquet", ".jsonl")) and "imported_batches" not in path:
            fetched[path.split("/")[-2]] += size

    with CaptureServer() as server, between(s3, answered=count) as url:
        imp = importing(tmp_path, url, "metadata", server.url, 20_000)
        for step in (export_day, stage_day, transform_day):
            step(imp, DAY)
        sizes = {
            folder: sum(imp.store.size(f"{folder}/{name}") for name in imp.store.names(folder))
            for folder in (f"raw_export/{DAY}", "staged_events", "posthog_events")
        }
        assert fetched == {str(DAY): sizes[f"raw_export/{DAY}"] - imp.store.size(f"raw_export/{DAY}/manifest.json"),
                           "staged_events": sizes["staged_events"]}  # fmt: skip
        fetched.clear()
        assert day_profile(imp, staged_path(DAY), DAY, ["event"])["first_rows"]
        assert fetched == {}


def test_a_column_of_a_large_file_is_read_without_the_rest(s3: str) -> None:
    fetched: list[int] = []
    with between(s3, answered=lambda method, path, size: fetched.append(size)) as url:
        shop = store(url, "large")
        noise = [random.Random(n).randbytes(4096) for n in range(2_000)]
        with shop.atomic_write("large.parquet") as path:
            pq.write_table(pa.table({"noise": noise, "number": range(2_000)}), path, compression="none")
        fetched.clear()
        with shop.peek("large.parquet") as file:
            numbers = [number for batch in read_batches(file, ["number"]) for number in batch["number"].to_pylist()]
        assert numbers == list(range(2_000))
        assert 0 < sum(fetched) < 1 << 20 < shop.size("large.parquet")


def test_an_import_keeps_its_store_until_its_storage_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imp = small_import(tmp_path, storage=None)
    monkeypatch.setenv("POSTHOG_ASSETS_STORAGE", str(tmp_path / "one"))
    first = imp.store
    assert imp.store is first
    monkeypatch.setenv("POSTHOG_ASSETS_STORAGE", str(tmp_path / "two"))
    assert imp.store.path("x").path == str(tmp_path / "two/small/x")


def test_a_store_that_is_busy_or_silent_now_and_then_loses_nothing(s3: str, tmp_path: Path) -> None:
    chance = random.Random(3)
    faults: Counter[int | None] = Counter()

    def fault(method: str, path: str) -> int | None:
        status = chance.choices([None, 503, 500, 0], [80, 8, 6, 6])[0]
        faults[status] += 1
        return status

    with CaptureServer() as server, between(s3, fault) as url:
        report = run(importing(tmp_path, url, "faults", server.url))
    assert (report.acknowledged, report.owed) == (40, 0)
    assert Counter(server.uuids()).most_common(1)[0][1] == 1
    assert faults[503] and faults[500] and faults[0]


def test_a_store_that_never_answers_is_said_in_a_sentence(s3: str) -> None:
    with between(s3, lambda method, path: 503) as url:
        once = options(url) | {"config_kwargs": {"retries": {"max_attempts": 1}}}
        shop = Store("s3://history/never", "shop", once, Timing(tries=2, sleep=lambda seconds: None))
        with pytest.raises(StorageUnavailable, match=r"shop/a: the store did not answer: .*Reduce your request rate"):
            shop.write_bytes("a", b"1")


def test_only_one_process_holds_a_partition(s3: str) -> None:
    timing = Timing(life=3.0, skew=1.0, sleep=lambda seconds: time.sleep(0.05))
    holding: list[int] = []
    most, busy, held = 0, 0, 0
    guard = threading.Lock()

    def work(number: int) -> None:
        nonlocal most, busy, held
        try:
            with store(s3, "one", timing).lock("imported_batches", "2024-03-01"):
                with guard:
                    holding.append(number)
                    most, held = max(most, len(holding)), held + 1
                time.sleep(6)
                with guard:
                    holding.remove(number)
        except PartitionBusy as error:
            assert "another run is materializing shop/imported_batches for 2024-03-01 (process" in str(error)
            with guard:
                busy += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # It lived longer than a lease does without being renewed.
    assert (most, held, busy) == (1, 1, 3)
    with store(s3, "one", timing).lock("imported_batches", "2024-03-01"):
        pass


def test_the_lease_of_a_dead_process_is_taken_over_by_one(s3: str) -> None:
    timing = Timing(life=0.5, skew=0.1, settle=0.3, sleep=briefly)
    shop = store(s3, "dead", timing)
    shop.write_bytes(".locks/a-1.json", leases._content("somebody who died"))
    outcomes: list[str] = []

    def take() -> None:
        try:
            with store(s3, "dead", timing).lock("a", "1"):
                outcomes.append("held")
                time.sleep(1.5)
        except PartitionBusy:
            outcomes.append("busy")

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["busy", "busy", "held"]


CHILD = """
import sys
from pathlib import Path
from posthog_assets_tests.end_to_end.test_object_store import BRIEF, importing, run
run(importing(Path(sys.argv[1]), sys.argv[2], sys.argv[4], sys.argv[3], int(sys.argv[5]), BRIEF))
"""


def started(tmp_path: Path, s3: str, destination: str, name: str, events: int) -> subprocess.Popen[bytes]:
    """Start a process that imports the day."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", CHILD, str(tmp_path), s3, destination, name, str(events)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def test_a_run_that_was_stopped_while_another_one_took_over_sends_nothing_more(s3: str, tmp_path: Path) -> None:
    with CaptureServer(lambda asked: Reply(delay=0.02)) as server:
        child = started(tmp_path, s3, server.url, "stopped", 100)
        until = time.monotonic() + 60
        while len(server.requests) < 8:
            assert time.monotonic() < until
            assert child.poll() is None
            time.sleep(0.005)
        child.send_signal(signal.SIGSTOP)
        try:
            imp = importing(tmp_path, s3, "stopped", server.url, 100, BRIEF)
            report = deliver_day(imp, DAY)
            batches = imp.store.names(f"imported_batches/{DAY}/batches")
        finally:
            child.send_signal(signal.SIGCONT)
        _, words = child.communicate(timeout=60)
        counts = Counter(server.uuids())
    assert (report.acknowledged, report.owed, len(counts)) == (100, 0, 100)
    assert "PartitionLost: this run no longer holds small/imported_batches for 2024-03-01" in words.decode()
    assert child.returncode == 1
    # In each of its two lanes one batch of five that was in flight, and one answered but not recorded.
    assert sum(counts.values()) - 100 <= 2 * 2 * 5
    # It recorded nothing more.
    assert imp.store.names(f"imported_batches/{DAY}/batches") == batches


def test_a_process_killed_at_any_moment_loses_nothing_on_an_object_store(s3: str, tmp_path: Path) -> None:
    chance, kills = random.Random(5), 3
    with CaptureServer(lambda asked: Reply(delay=0.02)) as server:
        for _ in range(kills):
            before = len(server.requests)
            child = started(tmp_path, s3, server.url, "killed", 300)
            until = time.monotonic() + 60
            while len(server.requests) < before + chance.randint(1, 8) and child.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.005)
            time.sleep(chance.random() / 20)
            child.send_signal(signal.SIGKILL)
            child.communicate()
        report = run(importing(tmp_path, s3, "killed", server.url, 300, BRIEF))
        counts = Counter(server.uuids())
    assert (report.acknowledged, report.owed, len(counts)) == (300, 0, 300)
    # In each of two lanes at most one batch of five in flight and one answered but not yet written.
    assert sum(counts.values()) - 300 <= kills * 2 * 2 * 5


def test_source_files_in_a_bucket_are_found_fetched_and_seen_to_change(s3: str, tmp_path: Path) -> None:
    bucket = Store("s3://history/vendor", "exports", options(s3))
    days = [date(2024, 3, n) for n in range(1, 5)]
    for day in days[:3]:
        line = f'{{"id":"{day}","user":"ann","at":"{day}T10:00:00Z","what":"page"}}\n'
        bucket.write_bytes(f"{day:%Y/%m}/{day}-a.jsonl", line.encode())
    path = "s3://history/vendor/exports/{day:%Y/%m}/{day}-*.jsonl"
    imp = small_import(tmp_path, source={"type": "files", "path": path, "storage_options": options(s3)})
    seen = {sighting.day: sighting.fingerprint for sighting in imp.source.fingerprints(days)}
    assert [day for day in days if seen[day]] == days[:3]
    assert seen == {day: imp.source.fingerprint(day) for day in days}
    assert [part.records for part in export_day(imp, days[0]).parts] == [1]
    bucket.write_bytes("2024/03/2024-03-01-b.jsonl", b'{"id":"late"}\n')
    assert imp.source.fingerprint(days[0]) != seen[days[0]]
    assert [part.records for part in export_day(imp, days[0]).parts] == [1, 1]
    assert "testing" in imp.source.secrets()
    assert "testing" not in repr(imp)
