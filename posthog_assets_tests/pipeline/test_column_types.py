"""CSV in a whole import: each column has one type, whichever day is staged first."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import BrokenPart
from posthog_assets.pipeline.column_types import ColumnTypes, read_column_types
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.storage.layout import staged_path
from posthog_assets.storage.store import Store
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.dialects.test_heap import PAGEVIEW
from posthog_assets_tests.dialects.test_untyped import as_csv

FIRST, SECOND, THIRD = date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 3)


def csv_import(tmp_path: Path, days: dict[date, list[str]], header: str, **dialect: Any) -> Import:
    """Return an import of CSV files, one a day; each row is of one user, and gets an id and a time."""
    imp = small_import(
        tmp_path,
        source={"type": "files", "path": str(tmp_path / "exports/{day}.csv")},
        dialect={
            "type": "columns", "event": {"value": "x"}, "user_id": {"column": "user"}, "timestamp": {"column": "at"},
            "source_id": {"column": "id"},
        } | dialect,
    )  # fmt: skip
    (tmp_path / "exports").mkdir()
    for day, rows in days.items():
        lines = [f"{number},u,{day}T10:00:00Z,{row}\n" for number, row in enumerate(rows)]
        (tmp_path / f"exports/{day}.csv").write_text(f"id,user,at,{header}\n" + "".join(lines))
        export_day(imp, day)
    return imp


def staged(imp: Import, day: date) -> list[dict[str, Any]]:
    stage_day(imp, day)
    rows = pq.read_table(imp.store.path(staged_path(day)).path)["properties"].to_pylist()
    return [json.loads(row) for row in rows]


def test_a_column_with_texts_that_are_not_what_a_number_prints_is_text(tmp_path: Path) -> None:
    rows = ["1.10,01234,5,true,1", "1.1,12345,6.5,false,x", ",,,,"]
    imp = csv_import(tmp_path, {FIRST: rows}, "app_version,zip,n,paid,note")
    assert staged(imp, FIRST) == [
        {"app_version": "1.10", "zip": "01234", "n": 5, "paid": True, "note": "1"},
        {"app_version": "1.1", "zip": "12345", "n": 6.5, "paid": False, "note": "x"},
        {},
    ]


@pytest.mark.parametrize(
    "text",
    ["1.0", "1.10", "01234", "+1", "-0", "1e5", ".5", "5.", " 1", "1_000", "1,000.0", "0x10", "٣", "9007199254740993",
     "0.1234567890123456789", "0.0000001", "NaN", "Infinity", "-", "1.2.3", "12345678901234567890", "yes", "tRUE"],
)  # fmt: skip
def test_what_a_number_would_not_print_makes_text_of_its_column(tmp_path: Path, text: str) -> None:
    imp = csv_import(tmp_path, {FIRST: ["7", f'"{text}"']}, "n")
    assert staged(imp, FIRST) == [{"n": "7"}, {"n": text}]


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-1", -1), ("9007199254740991", 9007199254740991), ("0.1", 0.1), ("-0.5", -0.5), ("1234.5", 1234.5),
     ("52.520008123", 52.520008123), ("0.30000000000000004", 0.30000000000000004), ("0.000001", 0.000001)],
)  # fmt: skip
def test_what_a_number_prints_is_one(tmp_path: Path, text: str, value: float) -> None:
    assert staged(csv_import(tmp_path, {FIRST: ["7", text]}, "n"), FIRST) == [{"n": 7}, {"n": value}]


def test_numbers_beside_booleans_are_text(tmp_path: Path) -> None:
    assert staged(csv_import(tmp_path, {FIRST: ["1", "true"]}, "n"), FIRST) == [{"n": "1"}, {"n": "true"}]


def test_text_late_in_a_day_makes_text_of_the_numbers_before_it(tmp_path: Path) -> None:
    imp = csv_import(tmp_path, {FIRST: [*["12345"] * 2_000, "01234"]}, "zip")
    rows = staged(imp, FIRST)
    assert (len(rows), {type(row["zip"]) for row in rows}) == (2_001, {str})


def test_the_import_file_may_say_what_a_column_holds(tmp_path: Path) -> None:
    rows = ["9.90,12345,1,1", "10.00,23456,0,2", "free,34567,true,3"]
    imp = csv_import(
        tmp_path, {FIRST: rows}, "price,zip,flag,n", types={"price": "number", "zip": "text", "flag": "boolean"}
    )
    assert staged(imp, FIRST) == [
        {"price": 9.9, "zip": "12345", "flag": "1", "n": 1},
        {"price": 10.0, "zip": "23456", "flag": "0", "n": 2},
        # What is no number is kept as it is.
        {"price": "free", "zip": "34567", "flag": True, "n": 3},
    ]


def test_texts_that_mean_nothing_have_no_type(tmp_path: Path) -> None:
    imp = csv_import(tmp_path, {FIRST: ["1,1", "NULL,NULL", "3,"], SECOND: ["4,4", "NULL,5"]}, "n,m", nulls=["NULL"])
    assert staged(imp, FIRST) == [{"n": 1, "m": "1"}, {}, {"n": 3, "m": ""}]
    assert staged(imp, SECOND) == [{"n": 4, "m": "4"}, {"m": "5"}]


def test_a_later_day_widens_a_column_and_the_days_before_it_are_behind(tmp_path: Path) -> None:
    imp = csv_import(tmp_path, {FIRST: ["12345"], SECOND: ["01234"], THIRD: ["23456"]}, "zip")
    assert staged(imp, FIRST) == [{"zip": 12345}]
    assert staged(imp, SECOND) == [{"zip": "01234"}]
    assert read_column_types(imp.store).behind == {"2024-03-01"}
    assert staged(imp, THIRD) == [{"zip": "23456"}]
    assert staged(imp, FIRST) == [{"zip": "12345"}]
    assert read_column_types(imp.store).behind == frozenset()


class Interrupted(Store):
    """Lets something happen when a file is written, and not there yet."""

    relative = ""
    happens: Callable[[], object] | None = None

    @contextmanager
    def atomic_write(self, relative: str, *, durable: bool = True) -> Iterator[Path]:
        with super().atomic_write(relative, durable=durable) as path:
            yield path
            if relative == self.relative and self.happens:
                happens, self.happens = self.happens, None
                happens()


def test_a_day_that_is_stored_while_another_one_widens_a_column_is_staged_again(tmp_path: Path) -> None:
    imp = csv_import(tmp_path, {FIRST: ["12345"], SECOND: ["01234"]}, "zip")
    store = Interrupted(imp.storage_url, imp.name)
    store.relative, store.happens = staged_path(FIRST), lambda: stage_day(imp, SECOND)
    assert staged(imp.stored_in(store), FIRST) == [{"zip": "12345"}]
    assert read_column_types(store).behind == frozenset()


def test_a_day_that_is_behind_stays_so_until_its_new_rows_are_stored(tmp_path: Path) -> None:
    imp = csv_import(tmp_path, {FIRST: ["12345"], SECOND: ["01234"]}, "zip")
    staged(imp, FIRST)
    staged(imp, SECOND)
    store = Interrupted(imp.storage_url, imp.name)
    seen: list[frozenset[str]] = []
    store.relative, store.happens = staged_path(FIRST), lambda: seen.append(read_column_types(store).behind)
    assert staged(imp.stored_in(store), FIRST) == [{"zip": "12345"}]
    assert (seen, read_column_types(store).behind) == ([frozenset({"2024-03-01"})], frozenset())


def test_the_order_of_the_days_makes_no_difference_in_the_end(tmp_path: Path) -> None:
    days = {FIRST: ["1,a", "2,b"], SECOND: ["true,1", "false,2"], THIRD: ["3,4"]}
    found = []
    for order in ([FIRST, SECOND, THIRD], [THIRD, SECOND, FIRST], [SECOND, THIRD, FIRST]):
        folder = tmp_path / "-".join(str(day.day) for day in order)
        folder.mkdir()
        imp = csv_import(folder, days, "n,m")
        for day in order:
            staged(imp, day)
        for key in sorted(read_column_types(imp.store).behind):
            staged(imp, date.fromisoformat(key))
        found.append([staged(imp, day) for day in days])
        assert read_column_types(imp.store).behind == frozenset()
    assert found == [[
        [{"n": "1", "m": "a"}, {"n": "2", "m": "b"}], [{"n": "true", "m": "1"}, {"n": "false", "m": "2"}],
        [{"n": "3", "m": "4"}],
    ]] * 3  # fmt: skip


def test_a_vendors_own_columns_of_csv_have_one_type_too(tmp_path: Path) -> None:
    imp = small_import(
        tmp_path,
        source={"type": "files", "path": str(tmp_path / "exports/{day}.csv")},
        dialect={"type": "heap"},
    )
    (tmp_path / "exports").mkdir()
    with (tmp_path / "exports/2024-03-01.csv").open("w", newline="") as file:
        own = [{"zip": "01234", "price": "1.5", "event_id": "1"}, {"zip": "12345", "price": "2", "event_id": "2"}]
        rows = [as_csv(PAGEVIEW) | more for more in own]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    export_day(imp, FIRST)
    assert [(row["zip"], row["price"]) for row in staged(imp, FIRST)] == [("01234", 1.5), ("12345", 2)]


def test_json_has_types_of_its_own_and_nothing_is_kept_of_its_fields(tmp_path: Path) -> None:
    imp = small_import(tmp_path)
    (tmp_path / "exports").mkdir()
    record = {"id": "1", "user": "u", "at": "2024-03-01T10:00:00Z", "what": "x", "zip": "01234", "n": 5}
    (tmp_path / "exports/2024-03-01.jsonl").write_text(json.dumps(record) + "\n")
    export_day(imp, FIRST)
    assert staged(imp, FIRST) == [{"zip": "01234", "n": 5}]
    assert not imp.store.exists("column_types.json")
    assert read_column_types(imp.store) == ColumnTypes({})


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    imp = csv_import(tmp_path, {FIRST: ["1"]}, "n")
    imp.store.write_bytes("column_types.json", b"{")
    with pytest.raises(BrokenPart, match=r"column_types.json cannot be read .*: delete it, then materialize"):
        stage_day(imp, FIRST)
