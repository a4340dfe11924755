"""Imports at the same time, and years of days without an event.

    python -m posthog_assets_tests.benchmarks.load --days 1096
    python -m posthog_assets_tests.benchmarks.load --imports 8 --events 5000

Belongs here: days without events one after the other, and several imports in a process each. Does not belong here: one
big day (`volume`), several days of one import (`scale`).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from posthog_assets_tests.fakes.capture_server import CaptureServer

DAY: Final = date(2024, 3, 1)


def import_of(folder: str, name: str, url: str) -> Any:
    """Return the import *name* of the files `<folder>/<name>/<day>.jsonl`."""
    from posthog_assets.pipeline.config.import_file import Import

    return Import.read(
        {
            "name": name, "start_date": (DAY - timedelta(days=3_000)).isoformat(), "storage": f"{folder}/data",
            "processes": 1,
            "source": {"type": "files", "path": f"{folder}/{name}/{{day}}.jsonl"},
            "dialect": {
                "type": "columns", "event": {"column": "what"}, "user_id": {"column": "user"},
                "timestamp": {"column": "at"}, "source_id": {"column": "id"},
            },
            "destination": {"host": url, "project_api_key": f"phc_{name}"},
        }
    )  # fmt: skip


def run_days(folder: str, name: str, url: str, days: int, results: Any) -> None:
    """Take *days* days through the steps; sends (events acknowledged, seconds, peak MB)."""
    from posthog_assets.pipeline.deliver import deliver_day
    from posthog_assets.pipeline.export import export_day
    from posthog_assets.pipeline.stage import stage_day
    from posthog_assets.pipeline.transform import transform_day

    imp, acknowledged, began = import_of(folder, name, url), 0, time.monotonic()
    for number in range(days):
        day = DAY - timedelta(days=number)
        export_day(imp, day)
        stage_day(imp, day)
        transform_day(imp, day)
        acknowledged += deliver_day(imp, day).acknowledged
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.send((acknowledged, time.monotonic() - began, peak))


def measure(imports: int, days: int, events: int) -> None:
    """Run so many imports at once, of so many days, the first of which has so many events; print a line each."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="posthog-load-") as folder, CaptureServer() as server:
        running = []
        for number in range(imports):
            name = f"import_{number}"
            Path(folder, name).mkdir()
            rows = ({"id": n, "user": f"u{n}", "at": f"{DAY}T10:00:00Z", "what": "page"} for n in range(events))
            for day in range(days):
                path = Path(folder, name, f"{DAY - timedelta(days=day)}.jsonl")
                path.write_text("" if day else "".join(json.dumps(row) + "\n" for row in rows))
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=run_days, args=(folder, name, server.url, days, sender))
            process.start()
            sender.close()
            running.append((name, process, receiver))
        for name, process, receiver in running:
            acknowledged, seconds, peak = receiver.recv()
            process.join()
            print(f"{name}: {days:,} days, {acknowledged:,} events, {seconds:,.1f} s, peak {peak:,.0f} MB", flush=True)
        stored = len({event["uuid"] for event in server.stored})
        print(f"{stored:,} events are stored once, of {len(server.stored):,} received")
        assert stored == len(server.stored) == imports * events


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--imports", type=int, default=1)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--events", type=int, default=0)
    arguments = parser.parse_args()
    measure(arguments.imports, arguments.days, arguments.events)


if __name__ == "__main__":
    main()
