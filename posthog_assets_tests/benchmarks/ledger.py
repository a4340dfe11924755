"""A day that is done and whose ledger has many files: what the next runs of it cost.

    python -m posthog_assets_tests.benchmarks.ledger --files 10000

Belongs here: making such a ledger, and the runs after it. Does not belong here: how the files are folded
(`destination.ledger`), or days of many events (`volume`).

A ledger of release 0.1 has a file for each answered batch, however long ago the day was done; so has that of a run
which was killed before it ended.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from posthog_assets_tests.benchmarks.load import DAY, import_of
from posthog_assets_tests.fakes.capture_server import CaptureServer

#: Runs after the ledger is made; the first of them folds it.
_RUNS: Final = 3


def make_day(folder: str, url: str, files: int, events: int, named: bool) -> None:
    """Take a day to its events, and record that PostHog has them, so many in each of so many files."""
    from posthog_assets.core.partitions import key_of
    from posthog_assets.destination.batch_files import BatchFacts
    from posthog_assets.destination.encoder import encode
    from posthog_assets.destination.entries import Entries
    from posthog_assets.destination.ledger import Ledger
    from posthog_assets.destination.survey import SENT
    from posthog_assets.pipeline.export import export_day
    from posthog_assets.pipeline.stage import stage_day
    from posthog_assets.pipeline.transform import transform_day
    from posthog_assets.pipeline.upstream import stored_events

    imp = import_of(folder, "import_0", url)
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    ledger = Ledger(imp.store, key_of(DAY))
    number = 0
    for batch in stored_events(imp.store, DAY, SENT):
        encoded = encode(batch)
        for start in range(0, batch.num_rows, events):
            some = slice(start, start + events)
            count = len(encoded.uuids[some])
            entries = Entries(
                encoded.uuids[some], encoded.hashes[some], encoded.keys[some], np.zeros(count, np.int8), [None] * count
            )
            at = f"{DAY}T10:00:00+00:00"
            facts = BatchFacts(at, "v1", f"request-{number}", 1, count, count, 0, 0, 500 * count, 90 * count, at, at)
            ledger.append(entries, facts)
            number += 1
    if not named:
        # As release 0.1 named them: without a digest.
        for path in Path(folder, "data/import_0/imported_batches").rglob("batches/*.parquet"):
            path.rename(path.with_name("-".join(path.stem.split("-")[:2]) + ".parquet"))
    print(f"{number:,} files were made", flush=True)


def run_again(folder: str, url: str, results: Any) -> None:
    """Deliver the day again in a process of its own; sends (seconds, processor seconds, peak MB, files, sent)."""
    from posthog_assets.pipeline.deliver import deliver_day

    imp = import_of(folder, "import_0", url)
    began, cpu = time.monotonic(), time.process_time()
    report = deliver_day(imp, DAY)
    spent = time.monotonic() - began, time.process_time() - cpu
    left = len(list(Path(folder, "data/import_0/imported_batches").rglob("batches/*.parquet")))
    results.send((*spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, left, report.sent))


def measure(files: int, events: int, *, named: bool) -> None:
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="posthog-ledger-") as folder, CaptureServer() as server:
        Path(folder, "import_0").mkdir()
        with Path(folder, f"import_0/{DAY}.jsonl").open("w") as file:
            for n in range(files * events):
                file.write(json.dumps({"id": n, "user": f"u{n}", "at": f"{DAY}T10:00:00Z", "what": "page"}) + "\n")
        maker = context.Process(target=make_day, args=(folder, server.url, files, events, named))
        maker.start()
        maker.join()
        assert maker.exitcode == 0
        for run in range(1, _RUNS + 1):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=run_again, args=(folder, server.url, sender))
            process.start()
            sender.close()
            seconds, cpu, peak, left, sent = receiver.recv()
            process.join()
            print(
                f"run {run}: {seconds:,.1f} s, {cpu:,.1f} s of processor time, peak {peak:,.0f} MB, {left:,} files "
                f"after it, {sent:,} events sent",
                flush=True,
            )
            assert sent == 0
        assert not server.stored


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=20, help="events of each file")
    parser.add_argument("--old", action="store_true", help="name the files as release 0.1 did")
    arguments = parser.parse_args()
    measure(arguments.files, arguments.events, named=not arguments.old)


if __name__ == "__main__":
    main()
