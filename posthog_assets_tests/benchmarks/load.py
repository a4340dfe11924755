"""Imports at the same time, and years of days without an event.

    python -m posthog_assets_tests.benchmarks.load --days 1096
    python -m posthog_assets_tests.benchmarks.load --imports 8 --events 5000
    python -m posthog_assets_tests.benchmarks.load --events 2000000 --tiny
    python -m posthog_assets_tests.benchmarks.load --backfills 2 --days 8 --events 2000

Belongs here: days without events one after the other, days of tiny events, several imports in a process each, several
backfills of one import. Does not belong here: one big day of events of usual size (`volume`), several days of one
import (`scale`).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from posthog_assets_tests.benchmarks.benchmark import serve
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.records.shop_of_days import Shop, days_of

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
    results.send((acknowledged, time.monotonic() - began, time.process_time(), peak))


def _write_day(path: Path, events: int, day: str = DAY.isoformat()) -> None:
    with path.open("w", encoding="utf-8") as file:
        for n in range(events):
            file.write(f'{{"id":"{day}-{n}","user":"u{n}","at":"{day}T10:00:00Z","what":"page"}}\n')


def measure(imports: int, days: int, events: int, *, counts_only: bool) -> None:
    """Run so many imports at once, of so many days, the first of which has so many events; print a line each.

    With *counts_only* the server keeps no event, and what arrived is not compared.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="posthog-load-") as folder, ExitStack() as stack:
        server = None if counts_only else stack.enter_context(CaptureServer())
        url = server.url if server else _answering(stack)
        running = []
        for number in range(imports):
            name = f"import_{number}"
            Path(folder, name).mkdir()
            for day in range(days):
                _write_day(Path(folder, name, f"{DAY - timedelta(days=day)}.jsonl"), 0 if day else events)
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=run_days, args=(folder, name, url, days, sender))
            process.start()
            sender.close()
            running.append((name, process, receiver))
        for name, process, receiver in running:
            acknowledged, seconds, cpu, peak = receiver.recv()
            process.join()
            print(
                f"{name}: {days:,} days, {acknowledged:,} events, {seconds:,.1f} s, {cpu:,.1f} s of processor time, "
                f"peak {peak:,.0f} MB",
                flush=True,
            )
            assert acknowledged == events
        if server:
            _check_stored(server, imports * events)


def _answering(stack: ExitStack) -> str:
    server, url = serve("")
    stack.callback(server.kill)
    return url


def _check_stored(server: CaptureServer, events: int) -> None:
    stored = len({event["uuid"] for event in server.stored})
    print(f"{stored:,} events are stored once, of {len(server.stored):,} received")
    assert stored == len(server.stored) == events


def measure_backfills(count: int, days: int, events: int) -> None:
    """Start so many backfills of one import at once, then one of what they left; print what each made of it."""
    with tempfile.TemporaryDirectory(prefix="posthog-load-") as folder, CaptureServer() as server:
        project = Path(folder, "project")
        project.mkdir()
        shop = Shop.made(project, days)
        for day in days_of(days):
            _write_day(project / f"exports/{day}.jsonl", events, day)
        shop.write(server.url, days)
        began = time.monotonic()
        commands = [shop.begun("backfill", "shop", "--jobs", "2") for _ in range(count)]
        for number, command in enumerate(commands, 1):
            output = command.communicate()[0]
            busy = output.count("is being worked on") + output.count("PartitionBusy")
            print(f"backfill {number}: exit {command.returncode}, {time.monotonic() - began:,.1f} s, {busy} days busy")
            print("".join(f"    {line}\n" for line in output.splitlines()[-12:]), end="")
        last = shop.begun("backfill", "shop", "--jobs", "2", "--missing")
        print(f"what they left: exit {last.wait()}, {time.monotonic() - began:,.1f} s")
        _check_stored(server, days * events)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--imports", type=int, default=1)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--events", type=int, default=0, help="of the first day; with --backfills of each")
    parser.add_argument("--tiny", action="store_true", help="so many events that the server keeps none of them")
    parser.add_argument("--backfills", type=int, default=0, help="backfills of one import at once")
    arguments = parser.parse_args()
    if arguments.backfills:
        measure_backfills(arguments.backfills, arguments.days, arguments.events)
    else:
        measure(arguments.imports, arguments.days, arguments.events, counts_only=arguments.tiny)


if __name__ == "__main__":
    main()
