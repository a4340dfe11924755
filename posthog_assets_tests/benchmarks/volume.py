"""One big day, or many of equal size, through all steps: memory over time, and whether the last events are as fast.

    python -m posthog_assets_tests.benchmarks.benchmark --volume --events 10000000 --plot volume.svg
    python -m posthog_assets_tests.benchmarks.benchmark --volume --events 100000 --days 365

Belongs here: making the day, taking it through the steps while memory is sampled, the table and the plot. Does not
belong here: small days (`benchmark`), several days at once (`scale`).

The day is made by arithmetic, so it is the same every time. Its records stand in no order of time at all, spread over
many files, as a warehouse exports them: the worst case for sorting. With `--ordered` they stand in order.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from isal import igzip

from posthog_assets_tests.benchmarks.volume_plot import draw
from posthog_assets_tests.fakes.query_answers import answering_queries

DAY: Final = date(2024, 3, 1)
EVENTS: Final = ("page viewed", "item added", "search", "checkout started")
_FILE_EVENTS: Final = 250_000
_BLOCK: Final = 10_000
#: Seconds between two looks at the memory.
_PAUSE: Final = 0.25
#: Coprime with any number of events that is not a multiple of it: neighbours end up far apart.
_STRIDE: Final = 7_368_787


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at the process: seconds since the first step began, events done, bytes of memory, seconds of processor."""

    at: float
    done: int
    memory: int
    cpu: float


@dataclass
class Measured:
    """What a run of one step did."""

    step: str
    seconds: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    samples: list[Sample] = field(default_factory=list)
    stored: int = 0

    def tenths(self, events: int) -> list[tuple[float, float]]:
        """Return, for each tenth of the step by its own count, events a second and µs of processor an event."""
        if not self.samples or self.samples[-1].done < events:
            return []
        found, before = [], self.samples[0]
        for tenth in range(1, 11):
            sample = next(some for some in self.samples if some.done >= events * tenth // 10)
            if sample.done > before.done:
                done = sample.done - before.done
                found.append((done / (sample.at - before.at), (sample.cpu - before.cpu) / done * 1e6))
                before = sample
        return found


def write_records(folder: Path, day: date, events: int, *, ordered: bool) -> int:
    """Write the files of a day, each of 250,000 records of about 480 bytes; return their size in bytes."""
    step, size = 86_000_000_000 // events, 0
    for number, first in enumerate(range(0, events, _FILE_EVENTS)):
        path = folder / f"{day}-{number:05d}.jsonl.gz"
        with igzip.open(path, "wb", 1) as file:
            for start in range(first, min(first + _FILE_EVENTS, events), _BLOCK):
                numbers = range(start, min(start + _BLOCK, first + _FILE_EVENTS, events))
                lines = [_record(day, n if ordered else n * _STRIDE % events, step) for n in numbers]
                file.write("".join(lines).encode())
        size += path.stat().st_size
    return size


def _record(day: date, number: int, step: int) -> str:
    seconds, micros = divmod(number * step, 1_000_000)
    mixed = (number + day.toordinal() << 24) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    person = mixed >> 44
    return (
        f'{{"id":"{day.toordinal():x}-{number:x}-{mixed:016x}","event":"{EVENTS[number & 3]}",'
        f'"user":"user-{person:07d}",'
        f'"time":"{day}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{micros:06d}Z",'
        f'"url":"https://shop.example/p/{mixed >> 40 & 0xFFFFF}/details",'
        f'"referrer":"https://shop.example/c/{person & 511}",'
        f'"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/12{number % 10}.0.0.0 Safari/537",'
        f'"price":{(mixed >> 20) % 100_000 / 100},"quantity":{number & 7},"currency":"EUR","country":"DE",'
        f'"city":"Köln","screen":{{"width":1920,"height":1080}},'
        f'"session":"{mixed * 0xD1342543DE82EF95F0E1D2C3 % (1 << 128):032x}","logged_in":true,"coupon":null}}\n'
    )


def import_of(folder: str, url: str) -> Any:
    """Return the import of the files in *folder*, sent to *url*."""
    from posthog_assets.pipeline.config.import_file import Import

    return Import.read(
        {
            "name": "volume",
            "start_date": DAY.isoformat(),
            "storage": f"{folder}/data",
            # What is measured is one process, over time.
            "processes": 1,
            "source": {"type": "files", "path": f"{folder}/{{day}}-*.jsonl.gz"},
            "dialect": {
                "type": "columns",
                "event": {"column": "event"},
                "user_id": {"column": "user"},
                "timestamp": {"column": "time"},
                "source_id": {"column": "id"},
            },
            "destination": {
                "host": url, "project_api_key": "phc_volume", "personal_api_key": "phx_volume", "project_id": "1",
                "landing_seconds": 1,
            },
        }
    )  # fmt: skip


def run_steps(folder: str, url: str, events: int, results: Any) -> None:
    """Take the day through all steps in a process of its own; sends a list of `Measured`."""
    from posthog_assets.destination.report import DeliveryReport
    from posthog_assets.pipeline.deliver import deliver_day
    from posthog_assets.pipeline.export import export_day
    from posthog_assets.pipeline.stage import stage_day
    from posthog_assets.pipeline.transform import transform_day
    from posthog_assets.pipeline.verify import verify_day

    imp = import_of(folder, url)
    report = DeliveryReport()
    watch = _Watch()
    with watch.step("raw_export"):
        export_day(imp, DAY)
    with watch.step("staged_events") as told:
        stage_day(imp, DAY, lambda done, total: told(done))
    with watch.step("posthog_events") as told:
        transform_day(imp, DAY, lambda done, total: told(done))
    with watch.step("imported_batches") as told:
        deliver_day(imp, DAY, report, lambda now: told(now.acknowledged))
        told(report.acknowledged)
    assert report.acknowledged == events, report
    with watch.step("again, all sent"):
        again = deliver_day(imp, DAY)
    assert (again.sent, again.already_acknowledged) == (0, events), again
    with watch.step("landed_events"):
        landing = verify_day(imp, DAY)
    assert landing is not None and landing.landed == events, landing
    stored = _stored(Path(folder) / "data/volume")
    for step in watch.steps:
        step.stored = stored.get(step.step, 0)
    results.send(watch.steps)


def _stored(folder: Path) -> dict[str, int]:
    """Return the bytes below each asset's folder."""
    return {
        asset.name: sum(file.stat().st_size for file in asset.rglob("*") if file.is_file())
        for asset in folder.iterdir()
        if asset.is_dir()
    }


class _Watch:
    """Samples this process while its steps run."""

    def __init__(self) -> None:
        self.steps: list[Measured] = []
        self._began = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Any:
        measured, done, ended = Measured(name), [0], threading.Event()
        self.steps.append(measured)

        def look() -> None:
            memory = resident()
            measured.peak = max(measured.peak, memory)
            measured.samples.append(Sample(time.monotonic() - self._began, done[0], memory, cpu_seconds()))

        def sample() -> None:
            while not ended.wait(_PAUSE):
                look()
            look()

        def tell(count: int) -> None:
            done[0] = count

        thread = threading.Thread(target=sample, name="sample")
        began, cpu = time.monotonic(), cpu_seconds()
        thread.start()
        try:
            yield tell
        finally:
            ended.set()
            thread.join()
            measured.seconds, measured.cpu = time.monotonic() - began, cpu_seconds() - cpu
            print(f"{name}: {measured.seconds:,.1f} s, peak {measured.peak / 1e6:,.0f} MB", flush=True)


def resident() -> int:
    """Return the bytes of memory this process has (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds() -> float:
    """Return the processor time of this process and those it has started and seen end."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_days(folder: str, url: str, events: int, days: int, results: Any) -> None:
    """Take one day after the other through the steps in a process of its own; sends (seconds, memory) of each."""
    from posthog_assets.pipeline.deliver import deliver_day
    from posthog_assets.pipeline.export import export_day
    from posthog_assets.pipeline.stage import stage_day
    from posthog_assets.pipeline.transform import transform_day

    imp = import_of(folder, url)
    for number in range(days):
        day = DAY + timedelta(days=number)
        write_records(Path(folder), day, events, ordered=False)
        began = time.monotonic()
        export_day(imp, day)
        stage_day(imp, day)
        transform_day(imp, day)
        report = deliver_day(imp, day)
        assert report.acknowledged == events, report
        results.send((time.monotonic() - began, resident()))
        # Disk stays small: nothing of the day is needed any more.
        for path in [*Path(folder).glob(f"{day}-*"), *Path(folder, "data").rglob(f"{day}.parquet")]:
            path.unlink()
        shutil.rmtree(Path(folder) / f"data/volume/raw_export/{day}")


def volume(
    events: int, plot: Path, in_process: Callable[..., Any], serve: Callable[[str], Any], *, ordered: bool
) -> None:
    """Measure, print the table, and write the plot."""
    folder = Path(tempfile.mkdtemp(prefix="posthog-volume-"))
    server, url = serve("")
    try:
        began = time.monotonic()
        size = write_records(folder, DAY, events, ordered=ordered)
        print(
            f"{events:,} records made in {time.monotonic() - began:,.0f} s, {size / 1e6:,.0f} MB of files", flush=True
        )
        counts = {(DAY.isoformat(), name): len(range(number, events, 4)) for number, name in enumerate(EVENTS)}
        with answering_queries(url, counts) as front:
            measured = in_process(run_steps, str(folder), front, events)
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
    show(events, measured)
    plot.write_text(
        draw(events, [(step.step, [(some.at, some.memory) for some in step.samples]) for step in measured]),
        encoding="utf-8",
    )
    print(f"plot: {plot}")


def show(events: int, measured: list[Measured]) -> None:
    """Print one line a step: speed, processor time, memory, bytes stored, the last tenth's cost against the first's.

    That ratio is of processor time, which does not depend on what else the machine does.
    """
    print(f"\n{events:,} events in one day, {os.cpu_count()} cores")
    print(
        f"{'step':18} {'seconds':>8} {'events/s':>9} {'µs CPU/event':>13} {'peak MB':>8} {'stored B/event':>15} "
        f"{'last/first tenth':>17}"
    )
    for step in measured:
        tenths = step.tenths(events)
        ratio = f"{tenths[-1][1] / tenths[0][1]:.0%}" if len(tenths) >= 2 else ""
        stored = f"{step.stored / events:,.1f}" if step.stored else ""
        print(
            f"{step.step:18} {step.seconds:>8,.1f} {events / step.seconds:>9,.0f} {step.cpu / events * 1e6:>13.2f} "
            f"{step.peak / 1e6:>8,.0f} {stored:>15} {ratio:>17}"
        )
    for step in measured:
        if tenths := step.tenths(events):
            print(f"{step.step}: thousand events/s by tenth: {' '.join(f'{speed / 1e3:,.0f}' for speed, _ in tenths)}")
            print(f"{step.step}: µs CPU/event by tenth: {' '.join(f'{cost:.2f}' for _, cost in tenths)}")
    slowest = math.fsum(step.seconds for step in measured[:4])
    print(f"the first four steps: {events / slowest:,.0f} events/s")


def many_days(events: int, days: int, serve: Callable[[str], Any]) -> None:
    """Measure days of equal size one after the other in one process, and print every tenth part of them."""
    folder = Path(tempfile.mkdtemp(prefix="posthog-volume-"))
    server, url = serve("")
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=run_days, args=(str(folder), url, events, days, sender), daemon=True
    )
    try:
        process.start()
        sender.close()
        print(f"{days:,} days of {events:,} events in one process")
        print(f"{'days':>12} {'events/s':>9} {'memory MB after':>16}", flush=True)
        for first in range(0, days, step := max(1, days // 10)):
            some = [receiver.recv() for _ in range(first, min(first + step, days))]
            rate = len(some) * events / sum(seconds for seconds, _ in some)
            print(f"{first + 1:>5} to {first + len(some):>3} {rate:>9,.0f} {some[-1][1] / 1e6:>16,.0f}", flush=True)
    finally:
        process.kill()
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
