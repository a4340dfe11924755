"""Members that repeat the fields beside their list: no more becomes of one record than a day can hold."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from posthog_assets.core.records import RecordChunk, Unreadable
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.repeated_fields import RepeatedFields
from posthog_assets.pipeline.stage import StagingReport, stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage.layout import staged_path
from posthog_assets.storage.parquet import read_table
from posthog_assets_tests.conftest import small_import

DAY = date(2024, 3, 1)
RECORD: dict[str, Any] = {"id": 1, "user": "u", "what": "page"}
ITEM: dict[str, Any] = {"at": "2024-03-01T10:00:00Z"}


def staged(folder: Path, records: list[dict[str, Any]], **dialect: Any) -> tuple[StagingReport, list[dict[str, Any]]]:
    """Return what staging says of a day of *records*, and its rows; the raw records and the events add up too."""
    (folder / "exports").mkdir()
    (folder / "exports/2024-03-01.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    imp = small_import(
        folder,
        source={"type": "files", "path": str(folder / "exports/{day}.jsonl"), "unfold": "items"},
        dialect={
            "type": "columns", "event": {"column": "what"}, "user_id": {"column": "user"},
            "timestamp": {"column": "items.at"}, "source_id": {"column": "items.id"},
        } | dialect,
    )  # fmt: skip
    export_day(imp, DAY)
    report = stage_day(imp, DAY)
    mapped = transform_day(imp, DAY)
    assert report.rows == report.raw_records
    assert mapped.rows == report.rows - report.rejected
    with imp.store.open(staged_path(DAY)) as file:
        return report, read_table(file).to_pylist()


def items(count: int, **more: Any) -> list[dict[str, Any]]:
    return [ITEM | {"id": f"i{number}"} | more for number in range(count)]


def test_a_field_that_no_event_can_hold_rejects_the_members_beside_it_and_no_others(tmp_path: Path) -> None:
    report, rows = staged(
        tmp_path,
        [
            RECORD | {"items": items(2)},
            RECORD | {"note": "x" * 4_300_000, "items": items(3)},
            RECORD | {"note": "x" * 100_000, "items": items(30)},
        ],
    )
    assert (report.raw_records, report.reject_reasons) == (35, {"longer than 4 MiB when it is read": 3})
    good = [(row["raw_line"], row["source_id"]) for row in rows if row["reject_reason"] is None]
    assert good == [(line, f"i{number}") for line, count in ((1, 2), (3, 30)) for number in range(count)]


def test_a_long_field_that_is_no_property_may_stand_beside_any_list(tmp_path: Path) -> None:
    record = RECORD | {"note": "x" * 4_300_000, "items": items(300)}
    report, _ = staged(tmp_path, [record], properties=["id"])
    assert (report.rows, report.rejected) == (300, 0)


def test_lists_within_members_are_repeated_with_their_own_member_only(tmp_path: Path) -> None:
    inner = [{"n": [number] * 10} for number in range(1_000)]
    report, rows = staged(tmp_path, [RECORD | {"items": [*items(1, inner=inner), *items(3)]}], properties="all")
    assert (report.rows, report.rejected) == (4, 0)
    assert [len(json.loads(row["properties"])["items"].get("inner", [])) for row in rows] == [1_000, 0, 0, 0]


def test_members_beside_many_fields_are_rows_like_others(tmp_path: Path) -> None:
    wide = {f"f{number}": number for number in range(20_000)}
    report, rows = staged(tmp_path, [RECORD | wide | {"items": items(12)}])
    assert (report.rows, report.rejected) == (12, 0)
    assert all(json.loads(row["properties"])["f19999"] == 19_999 for row in rows)


FLAW = Unreadable("the rows of a record's items are longer than 0 MiB together: each repeats the fields beside it")


def limited(chunks: list[RecordChunk], size: int) -> list[tuple[list[int], list[Any], dict[str, int]]]:
    """Return what is left of *chunks* where no record may have rows of more than 100 bytes, and a chunk has *size*."""
    watch = RepeatedFields("items", most=100)
    found = []
    for chunk in watch.limited(chunks, rows=4):
        found.append((list(chunk.positions), list(chunk.records), chunk.remarks))
        watch.count(chunk, pa.RecordBatch.from_pydict({"properties": ["x" * size]}))
    return found


MEMBERS = [
    RecordChunk([1, 1], [{"n": 1}, {"n": 2}]),
    RecordChunk([1, 1], [{"n": 3}, {"n": 4}], remarks={"odd": 1}),
    RecordChunk([1], [{"n": 5}], remarks={"odd": 2, "strange": 1}),
    RecordChunk([1, 1], [{"n": 6}, {"n": 7}]),
    RecordChunk([1, 1, 2], [{"n": 8}, {"n": 9}, {"n": 10}], untyped=True, remarks={"odd": 4}),
    RecordChunk([2], [{"n": 11}]),
]


def test_members_whose_rows_are_short_together_stay_as_they_are() -> None:
    assert limited(MEMBERS, 5) == [(chunk.positions, chunk.records, chunk.remarks) for chunk in MEMBERS]


def test_a_record_becomes_no_more_rows_once_they_are_too_long_together() -> None:
    assert limited(MEMBERS, 1_000) == [
        ([1, 1], [{"n": 1}, {"n": 2}], {}),
        ([1] * 5, [FLAW] * 5, {"odd": 3, "strange": 1}),
        ([1] * 2, [FLAW] * 2, {"odd": 4}),
        ([2], [{"n": 10}], {}),
        ([2], [FLAW], {}),
    ]


def test_rows_of_many_records_are_not_counted_together() -> None:
    chunks = [RecordChunk([line, line + 1], [{}, {}]) for line in range(1, 50)]
    assert len(limited(chunks, 1_000)) == 49
    assert FLAW not in [record for _, records, _ in limited(chunks, 1_000) for record in records]
