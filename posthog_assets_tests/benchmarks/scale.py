"""Several partitions at once on one machine: how far the machine's cores carry.

    python -m posthog_assets_tests.benchmarks.benchmark --scale --events 500000

Belongs here: 1, 2 and 4 days at the same time, each in a process of its own. Does not belong here: one day in detail
(`benchmark`), one big day (`volume`).

Each process takes its own day of the same import through the four steps, and has an answering server to itself: the
servers' processor time is counted too, since on a machine of few cores they take it from the steps.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from posthog_assets_tests.benchmarks.volume import DAY, cpu_seconds, import_of, write_records

AT_ONCE: Final = (1, 2, 4)


@dataclass(frozen=True)
class Scaled:
    """So many days at once: events of all days, seconds from the first start to the last end, seconds of processor."""

    days: int
    events: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def take_day(folder: str, url: str, number: int, events: int, begin: Any, results: Any) -> None:
    """Take one day through the steps once *begin* is set; sends the processor time it took."""
    from posthog_assets.pipeline.deliver import deliver_day
    from posthog_assets.pipeline.export import export_day
    from posthog_assets.pipeline.stage import stage_day
    from posthog_assets.pipeline.transform import transform_day

    imp, day = import_of(folder, url), DAY + timedelta(days=number)
    results.send("ready")
    begin.wait()
    cpu = cpu_seconds()
    export_day(imp, day)
    stage_day(imp, day)
    transform_day(imp, day)
    report = deliver_day(imp, day)
    assert report.acknowledged == events, report
    results.send(cpu_seconds() - cpu)


def scale(events: int, serve: Callable[[str], Any]) -> None:
    """Measure each number of days at once, and print a table."""
    folder = Path(tempfile.mkdtemp(prefix="posthog-scale-"))
    servers = [serve("") for _ in range(max(AT_ONCE))]
    try:
        for number in range(max(AT_ONCE)):
            write_records(folder, DAY + timedelta(days=number), events, ordered=False)
        show([_measure(folder, [url for _, url in servers], days, events) for days in AT_ONCE])
    finally:
        for server, _ in servers:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _measure(folder: Path, urls: list[str], days: int, events: int) -> Scaled:
    shutil.rmtree(folder / "data", ignore_errors=True)
    context = multiprocessing.get_context("spawn")
    begin = context.Event()
    pipes = []
    for number in range(days):
        receiver, sender = context.Pipe(duplex=False)
        context.Process(
            target=take_day, args=(str(folder), urls[number], number, events, begin, sender), daemon=True
        ).start()
        pipes.append(receiver)
    for receiver in pipes:
        receiver.recv()
    began = time.monotonic()
    begin.set()
    cpu = sum(receiver.recv() for receiver in pipes)
    return Scaled(days, days * events, time.monotonic() - began, cpu)


def show(measured: list[Scaled]) -> None:
    """Print one line for each number of days at once.

    `per core` is events for each second of processor time, and efficiency compares that with one day alone: both hold
    on a machine that does other things too, which events/s by the clock do not.
    """
    cores, one = os.cpu_count() or 1, measured[0]
    print(f"{one.events:,} events a day, {cores} cores, one answering server a day beside them")
    print(
        f"{'days at once':>12} {'seconds':>8} {'events/s':>9} {'cores used':>11} {'µs CPU/event':>13} {'per core':>9} "
        f"{'efficiency':>11}"
    )
    for some in measured:
        print(
            f"{some.days:>12} {some.seconds:>8,.1f} {some.rate:>9,.0f} {some.cpu / some.seconds:>11.2f} "
            f"{some.cpu / some.events * 1e6:>13.2f} {some.events / some.cpu:>9,.0f} "
            f"{some.events / some.cpu / (one.events / one.cpu):>11.0%}"
        )
