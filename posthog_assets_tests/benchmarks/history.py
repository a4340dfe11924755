"""How long `history_facts` takes over many days, and how much memory: staged days are made up, then read at once.

    python -m posthog_assets_tests.benchmarks.history --days 365 --events 100000

Belongs here: making the days and measuring. Does not belong here: what is found (`pipeline.history_facts`).
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from posthog_assets.core.schemas import STAGED_EVENTS, TIMESTAMP
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.history_facts import MEMORY, find_history_facts
from posthog_assets.storage.layout import staged_path
from posthog_assets.storage.parquet import ParquetSink

START = date(2023, 1, 1)
NAMES = pa.array(["$pageview", "item added", "search", "checkout", "purchase"])
_CHUNK = 50_000


def make_day(imp: Import, number: int, events: int, persons: int, chance: np.random.Generator) -> None:
    """Stage a day of so many *events*: a third of them of devices without a user."""
    day = START + timedelta(days=number)
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000_000)
    with imp.store.atomic_write(staged_path(day)) as path, ParquetSink(path, STAGED_EVENTS) as sink:
        for start in range(0, events, _CHUNK):
            count = min(_CHUNK, events - start)
            who = chance.integers(0, persons, count)
            moments = midnight + np.sort(chance.integers(0, 86_400_000_000, count))
            users = pa.array([f"user-{one:07d}" for one in who.tolist()], mask=chance.random(count) < 0.33)
            columns = {
                "source_id": pa.array([f"{day}-{start + place}" for place in range(count)]),
                "kind": pa.array(["event"] * count),
                "event": NAMES.take(pa.array(chance.integers(0, len(NAMES), count))),
                "user_id": users,
                # A few devices are shared.
                "anonymous_id": pa.array([f"device-{one // 2 if one % 97 == 0 else one:07d}" for one in who.tolist()]),
                "timestamp": pa.array(moments).cast(TIMESTAMP),
                "properties": pa.array(['{"page":"' + "x" * 300 + '"}'] * count),
            }
            arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in STAGED_EVENTS]
            sink.write(pa.RecordBatch.from_arrays(arrays, schema=STAGED_EVENTS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--events", type=int, default=100_000, help="events a day")
    parser.add_argument("--persons", type=int, default=300_000)
    parser.add_argument("--memory", default=MEMORY, help="DuckDB's limit")
    given = parser.parse_args()
    chance = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        imp = Import.read(
            {
                "name": "bench",
                "start_date": START.isoformat(),
                "storage": folder,
                "source": {"type": "files", "path": "none/{day}.jsonl"},
                "dialect": {"type": "mixpanel"},
                "mapping": {"first_time": ["purchase", "search"], "since_previous": ["checkout"]},
            }
        )
        for number in range(given.days):
            make_day(imp, number, given.events, given.persons, chance)
        stored = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
        before, began = _peak(), time.process_time()
        report = find_history_facts(imp, memory=given.memory)
        processor = time.process_time() - began
    print(
        f"{report.events:,} events on {report.days:,} days ({stored / 1e6:,.0f} MB staged), "
        f"{report.persons:,} persons, {report.links:,} links: "
        f"{report.seconds:,.1f} s, {processor:,.1f} s of processor time, "
        f"working folder {report.spilled_bytes / 1e6:,.0f} MB at the end, peak memory {_peak():,.0f} MB "
        f"({before:,.0f} MB before), DuckDB's limit {given.memory}"
    )
    return 0


def _peak() -> float:
    """Return the largest memory of this process so far, MB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    sys.exit(main())
