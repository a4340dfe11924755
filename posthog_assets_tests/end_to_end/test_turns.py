"""A rate kept by processes that share nothing but an object store: a real S3 server."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import StorageUnavailable
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage.rates import Stopped, pace
from posthog_assets.storage.store import Store
from posthog_assets.storage.timing import Timing
from posthog_assets.storage.turns import Turns, Unshared
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.object_store import between, options, s3_server

pytest.importorskip("moto", reason="needs moto[server]")
pytest.importorskip("s3fs", reason="needs the extra posthog_assets[s3]")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as url:
        yield url


def store(url: str, name: str) -> Store:
    return Store(f"s3://history/{name}", "shop", options(url))


def sent(turns: Turns, now: float, cost: float, count: int) -> list[float]:
    """Return when *count* things of *cost* seconds may begin, for somebody who is always at it."""
    moments = []
    for _ in range(count):
        moments.append(turns.reserve(now, cost))
        now = moments[-1]
    return moments


def test_one_process_alone_gets_the_whole_rate(s3: str) -> None:
    assert sent(Turns(store(s3, "alone"), "t", 5), 1000, 2, 6) == [1000, 1002, 1004, 1006, 1008, 1010]


def test_what_costs_more_than_a_turn_takes_several(s3: str) -> None:
    assert sent(Turns(store(s3, "dear"), "t", 5), 1002, 12, 3) == [1002, 1014, 1026]


@pytest.mark.parametrize("cost", [0.3, 2.0, 5.0, 7.0])
def test_several_processes_together_get_the_rate_and_no_more(s3: str, cost: float) -> None:
    shared = f"several-{cost}"
    processes = [Turns(store(s3, shared), "t", 5) for _ in range(3)]
    # Each asks as soon as its last request has left, whoever's turn it is.
    now = [1000.0, 1000.0, 1001.0]
    left: list[float] = []
    while min(now) < 1060:
        who = now.index(min(now))
        now[who] = processes[who].reserve(now[who], cost)
        left.append(now[who])
    left = sorted(at for at in left if at < 1060)
    for first, last in itertools.combinations(range(len(left)), 2):
        # Each of them may send what it has taken at once: a turn, or what one thing needs.
        assert (last - first) * cost <= left[last] - left[first] + 3 * (5 + cost)
    assert len(left) * cost == pytest.approx(60, abs=3 * (5 + cost))


def test_processes_that_send_one_thing_and_end_get_no_more_than_the_rate(s3: str) -> None:
    left = [Turns(store(s3, "short"), "t", 1).reserve(1000, 5) for _ in range(4)]
    assert left == [1000, 1005, 1010, 1015]


def test_an_allowance_is_not_saved_up(s3: str) -> None:
    turns = Turns(store(s3, "saved"), "t", 5)
    assert turns.reserve(1000, 1) == 1000
    # Its four seconds are gone; those of the turn it comes back in are not.
    assert sent(turns, 2000, 2, 4) == [2000, 2002, 2004, 2006]


def test_a_clock_that_was_set_back_does_not_stop_anybody(s3: str) -> None:
    turns = Turns(store(s3, "back"), "t", 5)
    turns.reserve(90_000, 5)
    assert turns.reserve(1000, 5) == 1000


def test_turns_that_are_over_are_deleted(s3: str) -> None:
    shop = store(s3, "over")
    for second in (1000, 2000):
        Turns(shop, "t", 5).reserve(second, 1)
    assert shop.names("t/5") == ["0000000400"]


class Forgetful(Store):
    """A store that takes the condition and does not keep it, as some that speak S3 do."""

    def create(self, relative: str, content: bytes) -> bool | None:
        self.write_bytes(relative, content)
        return True


class Unable(Store):
    """A store whose file system knows no conditions."""

    def create(self, relative: str, content: bytes) -> bool | None:
        return None


@pytest.mark.parametrize("kind", [Forgetful, Unable])
def test_a_store_without_conditional_writes_is_noticed(s3: str, kind: type[Store]) -> None:
    with pytest.raises(Unshared, match="no conditional writes"):
        Turns(kind("s3://history/without", "shop", options(s3)), "t", 5).reserve(1000, 1)


def test_there_the_rate_holds_on_each_machine_and_the_log_says_so(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stopped = threading.Event()
    one, other = (pace(1000, None, Unable("s3://history/machine", "shop", options(s3))) for _ in range(2))
    one.wait(100_000, stopped)
    stopped.set()
    with pytest.raises(Stopped):
        other.wait(1, stopped)
    assert "max_events_per_second and max_requests_per_second hold per machine" in caplog.text


def test_a_store_that_does_not_answer_lets_nothing_leave(s3: str) -> None:
    options_: dict[str, Any] = {"config_kwargs": {"retries": {"max_attempts": 1}}}
    with between(s3, lambda method, path: 503) as url:
        silent = Store("s3://history/silent", "shop", options(url) | options_, Timing(tries=1))
        with pytest.raises(StorageUnavailable):
            pace(10, None, silent).wait(1, threading.Event())


CHILD = """
import sys, threading, time
from posthog_assets.storage.rates import pace
from posthog_assets_tests.end_to_end.test_turns import store
mine = pace(200, None, store(sys.argv[1], "processes"))
print("ready", flush=True)
sys.stdin.readline()
until = time.time() + 6
while time.time() < until:
    mine.wait(50, threading.Event())
    print(time.time(), flush=True)
"""


def test_two_processes_keep_one_rate_on_an_object_store(s3: str, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    children = []
    for number in range(2):
        # As on machines of their own: not even temporary files are shared.
        (tmp_path / str(number)).mkdir()
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", CHILD, s3], env=environment | {"TMPDIR": str(tmp_path / str(number))},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    outputs = []
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        outputs.append([float(line) for line in child.communicate()[0].split()])
    assert all(outputs)
    left = sorted(itertools.chain(*outputs))
    for first, last in itertools.combinations(range(len(left)), 2):
        # 200 events a second, and what two processes may hold of a turn of one second.
        assert 50 * (last - first) <= 200 * (left[last] - left[first]) + 2 * (200 + 50)
    print(f"{50 * len(left) / (left[-1] - left[0]):.0f} events/s")


def test_deliveries_of_an_import_on_an_object_store_share_its_rates(s3: str, tmp_path: Path) -> None:
    days = [date(2024, 3, number) for number in (1, 2)]
    (tmp_path / "exports").mkdir()
    for day in days:
        (tmp_path / f"exports/{day}.jsonl").write_text(
            "".join(f'{{"id":"{day}-{n}","user":"u{n}","at":"{day}T10:00:00Z","what":"page"}}\n' for n in range(40))
        )
    with CaptureServer() as server:
        imp = small_import(
            tmp_path, storage="s3://history/deliveries", storage_options=options(s3),
            destination={"host": server.url, "project_api_key": "phc_any", "max_events_per_second": 20},
        )  # fmt: skip
        for day in days:
            export_day(imp, day)
            stage_day(imp, day)
            transform_day(imp, day)
        began = time.monotonic()
        for day in days:
            # Each with a pace of its own, as in two runs.
            assert deliver_day(imp, day).acknowledged == 40
        seconds = time.monotonic() - began
    # The second day waits until the first one's two seconds are over.
    assert seconds >= 0.9
    assert len(imp.store.names(".turns/20-0/1")) == 4
