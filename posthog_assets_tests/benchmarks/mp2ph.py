"""A day of Mixpanel records imported by this package and by mp2ph, in turn, against the same server.

    git clone https://github.com/mdmohsin7/mp2ph
    python -m posthog_assets_tests.benchmarks.mp2ph --clone mp2ph --events 200000 --rounds 3

mp2ph is a script that many would write: it reads a file of Mixpanel's export line by line and posts batches, in one
thread. It keeps no staged events and no ledger, does not compress, and does not look at what PostHog says of each
event. It needs `requests`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from posthog_assets_tests.benchmarks.benchmark import DAY, answering_server, run_pipeline, write_day
from posthog_assets_tests.benchmarks.volume import cpu_seconds


def run_mp2ph(clone: Path, folder: Path, url: str) -> tuple[float, float]:
    """Import the day with mp2ph; returns seconds, and seconds of processor time."""
    began, cpu = time.perf_counter(), cpu_seconds()
    subprocess.run(
        [sys.executable, "-m", "mp2ph.cli", "--token", "phc_bench", "--host", url, "--state-file",
         str(folder / f"state-{time.time_ns()}.json"), str(folder / f"{DAY}.jsonl.gz")],
        cwd=clone, env=os.environ | {"PYTHONPATH": str(clone)}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began, cpu_seconds() - cpu


def run_ours(folder: Path, url: str, data: Path) -> tuple[float, float]:
    """Import the day with this package, loading it included; returns seconds, and seconds of processor time."""
    data.mkdir()
    (data / f"{DAY}.jsonl.gz").symlink_to(folder / f"{DAY}.jsonl.gz")
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    began, cpu = time.perf_counter(), cpu_seconds()
    process = context.Process(target=run_pipeline, args=(str(data), url, "mixpanel", sender))
    process.start()
    receiver.recv()
    process.join()
    return time.perf_counter() - began, cpu_seconds() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clone", type=Path, required=True, help="the folder of a clone of mp2ph")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    port, theirs = context.Pipe(duplex=False)
    server = context.Process(target=answering_server, args=("", theirs), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{port.recv()}"
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_day(folder / f"{DAY}.jsonl.gz", "mixpanel", arguments.events, ordered=False)
        for number in range(arguments.rounds):
            ours = run_ours(folder, url, folder / f"round-{number}")
            other = run_mp2ph(arguments.clone.absolute(), folder, url)
            ratios.append(other[0] / ours[0])
            print(
                json.dumps(
                    {
                        "ours": {"seconds": round(ours[0], 1), "cpu": round(ours[1], 1)},
                        "mp2ph": {"seconds": round(other[0], 1), "cpu": round(other[1], 1)},
                        "times as fast": round(ratios[-1], 2), "of processor time": round(other[1] / ours[1], 2),
                    }
                ),
                flush=True,
            )  # fmt: skip
    print(f"median: {statistics.median(ratios):.2f} times as fast")
    server.terminate()


if __name__ == "__main__":
    main()
