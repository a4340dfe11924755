"""A day killed before and after every call that leaves a trace: the next run finishes it, nothing is lost or twice."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.kill_points import DAY, KillPoints

EVENTS = 30
#: One of so many points is tried; 1 tries all of them, in some minutes of processor time.
EVERY = int(os.environ.get("POSTHOG_ASSETS_KILL_EVERY", "20"))


def _exports(folder: Path) -> Path:
    (folder / "exports").mkdir(parents=True)
    rows = [{"id": n, "user": f"u{n % 7}", "at": f"{DAY}T10:00:{n:02}Z", "what": "page"} for n in range(EVENTS)]
    (folder / f"exports/{DAY}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.timeout(36_000 // EVERY)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks processes")
@pytest.mark.parametrize(("side", "first"), [("before", 1), ("after", 2)])
def test_a_day_that_is_killed_at_any_point_is_finished_by_the_next_run(side: str, first: int, tmp_path: Path) -> None:
    with KillPoints() as runs:
        with CaptureServer() as server:
            points = runs.run(_exports(tmp_path / "whole"), server.url)
            expected = {(event["uuid"], event["event"], event["distinct_id"]) for event in server.stored}
        assert len(expected) == EVENTS
        assert points > 30
        for point in range(first, points + 1, EVERY):
            folder = _exports(tmp_path / f"killed-{point}")
            with CaptureServer() as server:
                killed = runs.run(folder, server.url, point, side)
                assert runs.run(folder, server.url) > 0, f"killed {side} point {point}: the next run fails"
                found = {(event["uuid"], event["event"], event["distinct_id"]) for event in server.stored}
                assert found == expected, f"killed {side} point {point}"
                before = len(server.requests)
                assert runs.run(folder, server.url) > 0
                assert len(server.requests) == before, f"killed {side} point {point}: events are sent once more"
            # Where another run has made what all share, a run has fewer points.
            assert killed == -1 or point > killed > 0
            shutil.rmtree(folder)
