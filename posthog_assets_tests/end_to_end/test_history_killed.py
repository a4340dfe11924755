"""The look at all of history, killed in the middle: whole files, and the next run finishes."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.history_facts import find_history_facts
from posthog_assets.pipeline.stage import stage_day
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.killed import kill_during

pytest.importorskip("duckdb", reason="needs the extra posthog_assets[history]")

DAYS = [date(2024, 3, number + 1) for number in range(28)]


def an_import(folder: Path) -> Import:
    return small_import(folder, mapping={"first_time": ["buy"]})


def find_in(folder: str) -> None:
    find_history_facts(an_import(Path(folder)))


def test_a_process_that_is_killed_leaves_whole_files_and_the_next_run_finishes(tmp_path: Path) -> None:
    imp = an_import(tmp_path)
    (tmp_path / "exports").mkdir()
    for day in DAYS:
        records = [{"id": f"{day} {n}", "user": f"u{n}", "at": f"{day}T10:00:00Z", "what": "buy"} for n in range(7)]
        (tmp_path / f"exports/{day}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        export_day(imp, day)
        stage_day(imp, day)
    facts = tmp_path / "data/small/history_facts"
    kill_during(find_in, str(tmp_path), when=lambda: len(list(facts.glob("days/2*.parquet"))) >= 2)
    there = list(facts.glob("days/2*.parquet"))
    assert 2 <= len(there) < len(DAYS)
    assert {pq.read_table(path).num_rows for path in there} == {7}
    report = find_history_facts(imp)
    assert (report.days, report.events, report.persons) == (28, 196, 7)
    firsts = {path.stem: pc.sum(pq.read_table(path)["is_first"]).as_py() for path in facts.glob("days/2*.parquet")}
    assert firsts == {str(day): 7 if day == DAYS[0] else 0 for day in DAYS}
