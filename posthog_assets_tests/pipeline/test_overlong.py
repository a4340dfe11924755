"""Staged rows that are far longer than any event."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.storage.layout import staged_path
from posthog_assets_tests.conftest import small_import

DAY = date(2024, 3, 1)


def test_a_record_of_more_than_4_mib_is_rejected_and_the_rest_of_the_day_goes_on(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    rows = [{"id": n, "user": "u", "at": "2024-03-01T10:00:00Z", "what": "page"} for n in range(3)]
    rows[1]["note"] = "x" * (5 << 20)
    rows[2]["note"] = "x" * (3 << 20)
    (tmp_path / "exports/2024-03-01.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    imp = small_import(tmp_path)
    export_day(imp, DAY)
    report = stage_day(imp, DAY)
    assert (report.rows, report.reject_reasons) == (3, {"longer than 4 MiB when it is read": 1})
    with imp.store.open(staged_path(DAY)) as file:
        staged = pq.read_table(file).to_pylist()
    assert [(row["event"], row["raw_line"]) for row in staged] == [("page", 1), (None, 2), ("page", 3)]
    assert (staged[1]["properties"], staged[1]["raw_part"]) == (None, staged[0]["raw_part"])
    assert staged[1]["reject_reason"].startswith("longer than 4 MiB when it is read: 5,242,9")
