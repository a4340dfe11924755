"""What each step of a mapping costs, in µs of processor time an event.

    python -m posthog_assets_tests.benchmarks.benchmark --steps --events 100000

Each step is measured alone, over the same events of about 800 bytes, and what parsing and writing a row costs anyway is
taken off. The best of some rounds counts: other work on the machine only makes it slower.
"""

from __future__ import annotations

import gc
import gzip
import itertools
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects import load_dialect
from posthog_assets.mapping import EventMapper, Mapping
from posthog_assets.mapping.steps import Event, Step
from posthog_assets.pipeline.mapping_files import StepFiles, open_step_files
from posthog_assets_tests.benchmarks import benchmark

_ROUNDS: Final = 5
_DIALECT: Final = load_dialect(
    {
        "type": "columns",
        "event": {"column": "event"},
        "user_id": {"column": "user"},
        "timestamp": {"column": "time"},
        "source_id": {"column": "id"},
    }
)


class Nothing(Step):
    """Leaves every event as it is; what it costs is parsing and writing."""

    def apply(self, event: Event) -> None:
        pass


def _steps(folder: Path) -> list[dict[str, Any]]:
    return [
        {"step": "rename", "names": {"city": "$geoip_city_name"}},
        {"step": "rename", "names": {"scr*": "$scr*"}},
        {"step": "drop", "names": ["note", "coupon"]},
        {"step": "keep", "names": ["url", "price", "quantity", "$*"]},
        {"step": "add", "values": {"origin": "shop"}, "copy": {"$current_url": "url"}},
        {"step": "case", "style": "camelCase"},
        {"step": "flatten"},
        {"step": "unpack", "names": ["note"]},
        {"step": "nulls"},
        {"step": "types", "types": {"price": "int", "quantity": "text"}},
        {"step": "schema", "required": ["price"], "properties": {"currency": {"values": ["EUR", "USD"]}}},
        {"step": "timestamp_parts", "parts": ["hour", "day_of_the_week"], "timezone": "Europe/Berlin"},
        {"step": "url", "name": "url", "strip": ["tracking"]},
        {"step": "user_agent"},
        {"step": "geoip", "database": str(folder / "city.mmdb"), "name": "ip"},
        {"step": "currency", "amount": "price", "currency": "currency", "to": "USD"},
        {"step": "hash", "key": "k" * 16, "names": ["session"]},
        {"step": "hash", "key": "k" * 16, "ids": True},
        {"step": "redact", "names": ["note"]},
        {"step": "redact", "find": ["email", "ip", "phone", "card"]},
        {"step": "sample", "fraction": 0.5},
    ]


def run_steps(events: int) -> None:
    """Measure every step, and print a table."""
    with tempfile.TemporaryDirectory() as name, open_step_files() as files:
        batches = _staged(events, Path(name) / "day.jsonl.gz")
        _write_places(Path(name) / "city.mmdb")
        without = _measured(batches, [], files)
        nothing = _measured(batches, [{"step": f"{Nothing.__module__}.Nothing"}], files)
        print(f"{events:,} events, µs of CPU an event\n")
        print(f"{'mapping without steps':44} {without:6.2f}")
        print(f"{'parsing and writing, once for all steps':44} {nothing - without:6.2f}")
        steps = _steps(Path(name))
        for step in steps:
            print(f"{_shown(step):44} {_measured(batches, [step], files) - nothing:6.2f}")
        some = [step for step in steps if step["step"] in ("add", "drop", "case", "flatten", "nulls", "types", "url")]
        print(f"{f'{len(some)} usual steps and the mapping together':44} {_measured(batches, some, files):6.2f}")


def _shown(step: dict[str, Any]) -> str:
    options = [key for key in step if key not in ("step", "key", "database")]
    return f"{step['step']} ({', '.join(options)})" if options else step["step"]


def _measured(batches: list[pa.RecordBatch], steps: list[dict[str, Any]], files: StepFiles) -> float:
    mapping = Mapping.model_validate({"steps": steps})
    fetched_at = datetime.now(UTC)
    rounds = []
    gc.disable()
    for _ in range(_ROUNDS):
        # A new one each time: what a step remembers of earlier events is part of its cost.
        mapper = EventMapper(mapping, "bench", _DIALECT, day=benchmark.DAY, fetched_at=fetched_at, files=files)
        began = time.process_time()
        for batch in batches:
            mapper.map(batch)
        rounds.append(time.process_time() - began)
    gc.enable()
    return min(rounds) / sum(batch.num_rows for batch in batches) * 1e6


def _staged(events: int, path: Path) -> list[pa.RecordBatch]:
    """Return the benchmark's day, with addresses, as batches of staged rows."""
    chance = random.Random(1)
    benchmark.write_day(path, "columns", events, ordered=True)
    batches = []
    with gzip.open(path) as file:
        while lines := list(itertools.islice(file, 20_000)):
            records: list[Any] = [
                orjson.loads(line) | {"ip": f"81.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(64)}"}
                for line in lines
            ]
            batches.append(_DIALECT.stage(RecordChunk(range(1, len(records) + 1), records), "day.jsonl"))
    return batches


def _write_places(path: Path) -> None:
    writer = MMDBWriter(ip_version=4, database_type="Bench-City", float_type="f64")
    for number in range(256):
        place = {
            "city": {"names": {"en": f"City {number}"}},
            "country": {"iso_code": "DE", "names": {"en": "Germany"}},
            "location": {"latitude": number / 4, "longitude": number / 2, "time_zone": "Europe/Berlin"},
        }
        writer.insert_network(IPSet([f"81.{second}.{number}.0/24" for second in range(4)]), place)
    writer.to_db_file(str(path))
