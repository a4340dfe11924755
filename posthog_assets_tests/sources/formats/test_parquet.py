"""Parquet."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.sources.formats import Unreadable, detect, read_records
from posthog_assets.sources.formats.parquet import HOLDS, HOLDS_JSON
from posthog_assets_tests.sources.formats.reading import positions, read


def _file(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _value(array: pa.Array) -> object:
    found = read(_file(a=array), "a.parquet")[0]
    assert isinstance(found, dict)
    return found["a"]


def test_times_with_a_zone_are_utc_and_times_without_stay_naive() -> None:
    moment = 1_380_000_000_123_456
    berlin = pa.array([moment], pa.timestamp("us", "Europe/Berlin"))
    assert _value(berlin) == datetime(2013, 9, 24, 5, 20, 0, 123456, UTC)
    assert repr(_value(berlin)).endswith("tzinfo=datetime.timezone.utc)") or "UTC" in repr(_value(berlin))
    assert _value(pa.array([moment], pa.timestamp("us"))) == datetime(2013, 9, 24, 5, 20, 0, 123456)  # noqa: DTZ001


def test_json_of_a_database_may_hold_half_an_emoji() -> None:
    field = pa.field("a", pa.string(), metadata={HOLDS: HOLDS_JSON})
    sink = io.BytesIO()
    pq.write_table(pa.table([pa.array(['{"b": "\\ud83d!"}', "no JSON"])], schema=pa.schema([field])), sink)
    assert read(sink.getvalue(), "a.parquet") == [{"a": {"b": "\ufffd!"}}, {"a": "no JSON"}]


def test_nanoseconds_are_cut_to_microseconds_also_inside_other_values() -> None:
    nanoseconds = pa.array([1_380_000_000_123_456_789], pa.timestamp("ns", "UTC"))
    expected = datetime(2013, 9, 24, 5, 20, 0, 123456, UTC)
    assert _value(nanoseconds) == expected
    inside = _value(pa.StructArray.from_arrays([nanoseconds], ["t"]))
    assert inside == {"t": expected}
    assert type(inside["t"]) is datetime  # type: ignore[index]


def test_numbers_stay_exact_or_become_text() -> None:
    assert _value(pa.array([2**64 - 1], pa.uint64())) == 18446744073709551615
    assert _value(pa.array([Decimal("12.00")])) == 12
    assert _value(pa.array([Decimal("12.5")])) == 12.5
    assert _value(pa.array([Decimal("0.1234567890123456789")])) == "0.1234567890123456789"


def test_what_json_has_no_word_for_is_none() -> None:
    assert read(_file(a=pa.array([1.5, float("nan"), float("inf"), None])), "a.parquet") == [
        {"a": 1.5}, {"a": None}, {"a": None}, {"a": None},
    ]  # fmt: skip
    assert _value(pa.array([[1.0, float("-inf")]])) == [1.0, None]


def test_binary_is_text_where_it_is_and_base64_where_not() -> None:
    assert _value(pa.array(["ü".encode()])) == "ü"
    assert _value(pa.array([b"\xff\x00"])) == "/wA="


def test_nested_values_are_dicts_and_lists() -> None:
    assert _value(pa.array([{"x": [{"y": 1}], "z": None}])) == {"x": [{"y": 1}], "z": None}
    assert _value(pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))) == {"k": 1}
    assert _value(pa.array([[]], pa.map_(pa.string(), pa.int64()))) == {}
    assert _value(pa.array(["a"]).dictionary_encode()) == "a"


def test_dates_times_of_day_and_durations_arrive() -> None:
    assert _value(pa.array([date(2013, 1, 1)])) == date(2013, 1, 1)
    assert _value(pa.array([time(1, 2, 3)])) == "01:02:03"
    assert _value(pa.array([timedelta(seconds=90)])) == 90.0


def test_a_time_that_python_cannot_hold_spoils_only_its_row() -> None:
    found = read(_file(a=pa.array([2**60, 0], pa.timestamp("us"))), "a.parquet")
    assert isinstance(found[0], Unreadable)
    assert found[1] == {"a": datetime(1970, 1, 1)}  # noqa: DTZ001


def test_positions_count_rows_through_row_groups() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(25))}), sink, row_group_size=10)
    assert positions(sink.getvalue(), "a.parquet", rows=7) == list(range(1, 26))


def test_a_map_with_a_key_twice_keeps_both_values_and_is_counted() -> None:
    array = pa.array([[("k", 1), ("k", 2), ("l", 3)], [("k", 1)]], pa.map_(pa.string(), pa.int64()))
    nested = pa.array([[[("k", 1), ("k", 2)]], []], pa.list_(pa.map_(pa.string(), pa.int64())))
    sink = io.BytesIO()
    pq.write_table(pa.table({"m": array, "deep": nested}), sink)
    (chunk,) = read_records(sink, detect("a.parquet"), "a.parquet")
    assert list(chunk.records) == [{"m": {"k": [1, 2], "l": 3}, "deep": [{"k": [1, 2]}]}, {"m": {"k": 1}, "deep": []}]
    assert chunk.remarks == {"a map has a key several times: its values became a list": 2}


def test_numbers_that_json_cannot_hold_are_counted() -> None:
    sink = io.BytesIO()
    reals = pa.array([float("nan"), 1.5, float("inf"), None])
    pq.write_table(pa.table({"n": reals, "deep": pa.array([[float("nan")], [], [], []])}), sink)
    (chunk,) = read_records(sink, detect("a.parquet"), "a.parquet")
    assert [record["n"] for record in chunk.records if isinstance(record, dict)] == [None, 1.5, None, None]
    assert chunk.remarks == {"a value is a number that JSON cannot hold (NaN, infinity, 1e400): it became null": 3}


def test_long_lists_of_equal_values_come_a_few_rows_at_a_time() -> None:
    row = pa.array([0], pa.int8()).take(pa.array([0] * 1_000_000))
    lists = pa.ListArray.from_arrays(pa.array(range(0, 1_000_001, 100_000), pa.int32()), row)
    data = _file(a=lists)
    assert len(data) < 20_000
    chunks = read_records(io.BytesIO(data), detect("a.parquet"), "a.parquet", 1_000_000)
    assert max(len(chunk.records) for chunk in chunks) == 10


def _packed(rows: int, note: pa.Array, **options: object) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"n": pa.array(range(rows)), "note": note})
    pq.write_table(table, sink, compression="zstd", row_group_size=rows, **options)
    return sink.getvalue()


def _same(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value])).cast(pa.string())


def test_a_long_value_in_every_row_comes_a_few_rows_at_a_time() -> None:
    data = _packed(300, _same("x" * 800_000, 300))
    assert len(data) < 10_000
    numbers, most = [], 0
    for chunk in read_records(io.BytesIO(data), detect("a.parquet"), "a.parquet"):
        numbers += [record["n"] for record in chunk.records if isinstance(record, dict)]
        assert {len(record["note"]) for record in chunk.records if isinstance(record, dict)} == {800_000}
        most = max(most, len(chunk.records))
    assert (numbers, most) == (list(range(300)), 20)


def test_a_row_longer_than_16_mib_is_unreadable_and_its_neighbours_are_not() -> None:
    note = pa.array(["before", "x" * (17 << 20), "after"])
    for options in ({"use_dictionary": False}, {"use_dictionary": True, "dictionary_pagesize_limit": 64 << 20}):
        assert read(_packed(3, note, **options), "a.parquet") == [
            {"n": 0, "note": "before"}, Unreadable("a row longer than 16 MiB"), {"n": 2, "note": "after"},
        ]  # fmt: skip


def test_a_long_value_that_lists_repeat_is_counted_as_often_as_it_is_there() -> None:
    members = _same("x" * 200_000, 200)
    lists = pa.ListArray.from_arrays(pa.array([0, 50, 199, 200], pa.int32()), members)
    first, second, third = read(_packed(3, lists), "a.parquet")
    assert isinstance(first, dict) and isinstance(third, dict)
    assert (len(first["note"]), len(third["note"])) == (50, 1)
    assert second == Unreadable("a row longer than 16 MiB")


def test_a_list_of_more_than_two_million_nulls_is_unreadable() -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 2_200_000, 2_200_001], pa.int32()), pa.nulls(2_200_001))
    assert read(_packed(2, lists), "a.parquet") == [
        Unreadable("a row longer than 16 MiB"), {"n": 1, "note": [None]},
    ]  # fmt: skip


def test_equal_values_of_structs_and_maps_are_read_as_they_are() -> None:
    kind = pa.struct([("a", pa.string()), ("b", pa.map_(pa.string(), pa.list_(pa.string())))])
    row = {"a": "x" * 200_000, "b": [("k", ["y" * 100_000, None])]}
    data = _packed(100, pa.array([row] * 100, kind))
    found = read(data, "a.parquet")
    assert found == [{"n": n, "note": {"a": row["a"], "b": {"k": ["y" * 100_000, None]}}} for n in range(100)]
