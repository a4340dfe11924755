"""What an export says of the records of all days."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day, export_warnings
from posthog_assets.pipeline.stage import stage_day


def _import(folder: Path, lines: str, **timestamp: str) -> Import:
    (folder / "all.jsonl").write_text(lines)
    return Import.read(
        {
            "name": "keyed",
            "start_date": "2024-03-01",
            "end_date": "2024-03-02",
            "storage": str(folder / "data"),
            "source": {"type": "files", "path": f"{folder}/all.jsonl", "day_column": "t"},
            "dialect": {
                "type": "columns",
                "event": {"value": "seen"},
                "user_id": {"column": "u"},
                "timestamp": {"column": "t"} | timestamp,
            },
        }
    )


def test_the_records_of_all_days_are_rows_or_in_the_warning(tmp_path: Path) -> None:
    imp = _import(
        tmp_path,
        '{"t":20240301,"u":"a"}\n{"t":"202403011030","u":"b"}\n{"t":20240302,"u":"c"}\n'
        '{"t":"2031-05-05T00:00:00Z","u":"d"}\n{"t":0,"u":"e"}\n{"t":20240305,"u":"f"}\n',
    )
    rows = 0
    for day in (date(2024, 3, 1), date(2024, 3, 2)):
        export_day(imp, day)
        rows += stage_day(imp, day).rows
    assert export_warnings(imp) == [
        "2 of 6 records have no day that can be read or be true: they are rows of 2024-03-01",
        "1 of 6 records lie outside the import's days, 2024-03-01 to 2024-03-02, and are not imported: they are of "
        "2024-03-05 to 2024-03-05",
    ]
    assert rows == 5


def test_the_day_column_reads_as_the_dialect_reads_it(tmp_path: Path) -> None:
    lines = '{"t":"2024/03/01 23:30:00.000","u":"a"}\n{"t":"2024/03/02 00:30:00","u":"b"}\n'
    imp = _import(tmp_path, lines, format="%Y/%m/%d %H:%M:%S")
    assert [sum(part.records for part in export_day(imp, date(2024, 3, day)).parts) for day in (1, 2)] == [1, 1]
    report = stage_day(imp, date(2024, 3, 1))
    assert (report.rows, report.rejected) == (1, 0)


def test_events_long_before_the_first_day_are_counted(tmp_path: Path) -> None:
    lines = "".join(
        f'{{"t":"2024-03-01","when":"{when}","u":"a"}}\n'
        for when in ("1970-01-01", "1969-12-31T23:59:59Z", "2023-02-28", "2023-03-02", "2024-03-01", "soon")
    )
    imp = _import(tmp_path, lines, column="when")
    export_day(imp, date(2024, 3, 1))
    report = stage_day(imp, date(2024, 3, 1))
    assert (report.rows, report.rejected, report.long_before_start) == (6, 1, 3)
