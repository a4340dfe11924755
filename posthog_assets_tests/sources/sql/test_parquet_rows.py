"""Rows of a database as Parquet parts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.sources import RawExport
from posthog_assets.sources.sql import parquet_rows
from posthog_assets.sources.sql.parquet_rows import JsonText, Rows, write_parts
from posthog_assets.storage.store import Store
from posthog_assets_tests.sources.exported import records

DAY = date(2024, 3, 1)


@pytest.fixture
def raw(tmp_path: Path) -> RawExport:
    found = RawExport(Store(str(tmp_path), "shop"), DAY)
    found.begin("once")
    return found


def types(raw: RawExport) -> list[list[pa.DataType]]:
    found = []
    for part in raw.parts():
        with raw.open(part) as file:
            found.append(pq.read_schema(file).types)
    return found


def written(raw: RawExport, *batches: list[Any], **options: Any) -> list[Any]:
    """Write batches of a column's values; return what is read of them."""
    rows: Iterator[Rows] = iter([[[value] for value in batch] for batch in batches])
    write_parts(raw, "rows", "here", ["x"], rows, **options)
    raw.complete()
    return [record["x"] for record in records(raw)]


def test_values_are_kept_whatever_their_type(raw: RawExport) -> None:
    values: dict[str, Any] = {
        "decimal": Decimal("12345678901234567890.123456789"), "price": Decimal("0.10"), "large": 2**70, "whole": 2**62,
        "mixed": "text", "json": JsonText('{"a": [1.50, "ü"]}'), "aware": datetime(2024, 3, 1, 1, 2, 3, 4, UTC),
        "naive": datetime(2024, 3, 1, 1, 2, 3, 4),  # noqa: DTZ001
        "day": date(2024, 3, 1), "bytes": b"\xff\x00", "took": timedelta(minutes=1, microseconds=1), "t": "Zürich 🎉",
    }  # fmt: skip
    other = dict.fromkeys(values) | {"mixed": 5, "json": [Decimal("1.10"), b"\x00a", 2**70]}
    write_parts(raw, "rows", "here", list(values), iter([[list(values.values())], [list(other.values())]]))
    raw.complete()
    first, second = records(raw)
    assert first == values | {
        "decimal": "12345678901234567890.123456789", "price": 0.1, "large": str(2**70), "json": {"a": [1.5, "ü"]},
        "bytes": "/wA=", "took": 60.000001,
    }  # fmt: skip
    assert (second["mixed"], second["json"][:2]) == (5, ["1.10", "\x00a"])
    # A column that turned out to hold several types begins a new part.
    assert [part.records for part in raw.parts()] == [1, 1]


@pytest.mark.parametrize(
    ("values", "read", "kind"),
    [
        ([True, None], [True, None], pa.bool_()),
        ([1, -(2**63)], [1, -(2**63)], pa.int64()),
        ([1.5, None], [1.5, None], pa.float64()),
        ([1, Decimal("0.10")], [1, 0.1], pa.string()),
        ([2**63, 1], [2**63, 1], pa.string()),
        ([1, 1.5], [1, 1.5], pa.string()),
        (["a", 1, True], ["a", 1, True], pa.string()),
        ([date(2024, 3, 1)], [date(2024, 3, 1)], pa.date32()),
        ([b"a", bytearray(b"b"), memoryview(b"c")], ["a", "b", "c"], pa.binary()),
        ([timedelta(seconds=90)], [90.0], pa.float64()),
        ([time(10, 30), uuid.UUID(int=7)], ["10:30:00", str(uuid.UUID(int=7))], pa.string()),
        ([{"a": (1, 2)}, ["b"]], [{"a": [1, 2]}, ["b"]], pa.string()),
        ([None, None], [None, None], pa.null()),
    ],
)
def test_a_column_has_the_type_that_holds_its_values_exactly(
    values: list[Any], read: list[Any], kind: pa.DataType, raw: RawExport
) -> None:
    assert written(raw, values) == read
    assert types(raw) == [[kind]]


def test_times_of_several_zones_are_instants_and_beside_clocks_they_are_text(raw: RawExport) -> None:
    east = datetime(2024, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    noon = datetime(2024, 3, 1, 12)  # noqa: DTZ001
    assert written(raw, [east, east.astimezone(UTC)]) == [datetime(2024, 3, 1, 10, tzinfo=UTC)] * 2
    mixed = RawExport(raw.store, date(2024, 3, 2))
    mixed.begin("once")
    assert written(mixed, [east, noon]) == ["2024-03-01T10:00:00+00:00", "2024-03-01T12:00:00"]


def test_a_part_goes_on_while_a_column_holds_what_it_held(raw: RawExport) -> None:
    assert written(raw, [None], [1], [], [None, 2], ["a"], [3]) == [None, 1, None, 2, "a", 3]
    # Of nothing but null, of numbers, of both.
    assert [part.records for part in raw.parts()] == [1, 3, 2]
    assert [part.name for part in raw.parts()] == ["rows-0001.parquet", "rows-0002.parquet", "rows-0003.parquet"]


def test_no_rows_are_no_part(raw: RawExport) -> None:
    assert written(raw, [], []) == []
    assert raw.parts() == ()


def test_text_is_json_where_the_settings_say_so(raw: RawExport) -> None:
    assert written(raw, ['{"a": 1}', None, "[", 5], json_columns=["x"]) == [{"a": 1}, None, "[", 5]


def test_rows_without_a_day_are_a_part_that_says_so(raw: RawExport) -> None:
    written(raw, [1], without_day=True)
    assert [part.without_day for part in raw.parts()] == [True]


def test_a_row_group_is_written_when_it_is_large_enough(raw: RawExport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "_GROUP_ROWS", 3)
    written(raw, [1, 2], [3, 4], [5])
    (part,) = raw.parts()
    with raw.open(part) as file:
        found = pq.ParquetFile(file).metadata
    assert [found.row_group(number).num_rows for number in range(found.num_row_groups)] == [4, 1]
