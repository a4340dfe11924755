"""Avro."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from posthog_assets.core.errors import BrokenPart, ImportFileError
from posthog_assets.sources import Files
from posthog_assets.sources.formats import RecordChunk, Unreadable, avro, count_records, detect, read_records
from posthog_assets.sources.formats.avro_container import avro_block, avro_header
from posthog_assets_tests.examples import some
from posthog_assets_tests.sources.formats.reading import positions, read

CODECS = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")


def avro_file(schema: Any, records: list[Any], codec: str = "null", **options: Any) -> bytes:
    sink = io.BytesIO()
    fastavro.writer(sink, schema, records, codec=codec, sync_marker=b"0123456789abcdef", **options)
    return sink.getvalue()


def record_of(*fields: tuple[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "row", "fields": [{"name": name, "type": kind} for name, kind in fields]}


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name} | more


def value_of(kind: Any, raw: bytes) -> Any:
    """Return the value that *raw* is, as the specification of Avro writes it, in a field of type *kind*."""
    import orjson

    schema = orjson.dumps(record_of(("a", kind)))
    data = avro_header(schema, "null", b"m" * 16) + avro_block(1, raw, b"m" * 16)
    (found,) = read(data, "a.avro")
    assert isinstance(found, dict)
    return found["a"]


def number(value: int) -> bytes:
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, "long", value)
    return sink.getvalue()


MOMENT = 1_380_000_000_123_456


@pytest.mark.parametrize(
    ("unit", "raw", "microsecond"),
    [("millis", 1_380_000_000_123, 123_000), ("micros", MOMENT, 123_456), ("nanos", MOMENT * 1_000 + 789, 123_456)],
)
def test_timestamps_are_utc_and_local_ones_stay_naive(unit: str, raw: int, microsecond: int) -> None:
    expected = datetime(2013, 9, 24, 5, 20, 0, microsecond, UTC)
    assert value_of(logical("long", f"timestamp-{unit}"), number(raw)) == expected
    local = value_of(logical("long", f"local-timestamp-{unit}"), number(raw))
    assert (local, local.tzinfo) == (expected.replace(tzinfo=None), None)


def test_times_before_1970_and_at_the_ends_of_what_python_holds_are_exact() -> None:
    kind = logical("long", "timestamp-micros")
    assert value_of(kind, number(-1)) == datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)
    assert value_of(kind, number(-62_135_596_800_000_000)) == datetime(1, 1, 1, tzinfo=UTC)
    assert value_of(kind, number(253_402_300_799_999_999)) == datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)


@pytest.mark.parametrize(
    ("kind", "raw", "text"),
    [
        (logical("long", "timestamp-micros"), 2**60, "1152921504606846976 µs after 1970-01-01"),
        (logical("long", "local-timestamp-millis"), 2**60, "1152921504606846976 ms after 1970-01-01"),
        (logical("int", "date"), 2**30, "1073741824 days after 1970-01-01"),
        (logical("int", "time-millis"), -5, "-5 ms after midnight"),
    ],
)
def test_a_time_that_python_cannot_hold_is_text_that_no_dialect_takes_for_another_one(
    kind: Any, raw: int, text: str
) -> None:
    assert value_of(kind, number(raw)) == text


def test_dates_times_of_day_and_durations_arrive() -> None:
    assert value_of(logical("int", "date"), number(15_706)) == date(2013, 1, 1)
    assert value_of(logical("int", "time-millis"), number(3_723_000)) == "01:02:03"
    assert value_of(logical("long", "time-micros"), number(3_723_000_001)) == "01:02:03.000001"
    duration = {"type": "fixed", "name": "d", "size": 12, "logicalType": "duration"}
    raw = b"\x01\0\0\0" + b"\x02\0\0\0" + b"\x00\x01\0\0"
    assert value_of(duration, raw) == {"months": 1, "days": 2, "milliseconds": 256}


@pytest.mark.parametrize(
    ("decimal", "expected"),
    [
        ("12.00", 12),
        ("-12.50", -12.5),
        ("0.10", 0.1),
        ("1234567890123456789012345678901234567.89", "1234567890123456789012345678901234567.89"),
        ("-9223372036854775808.00", -(2**63)),
    ],
)
@pytest.mark.parametrize("fixed", [True, False])
def test_decimals_stay_exact_or_become_text(decimal: str, expected: Any, fixed: bool) -> None:
    kind = {"type": "fixed", "name": "d", "size": 20} if fixed else {"type": "bytes"}
    kind |= {"logicalType": "decimal", "precision": 39, "scale": 2}
    data = avro_file(record_of(("a", ["null", kind])), [{"a": Decimal(decimal)}])
    (found,) = read(data, "a.avro")
    assert found == {"a": expected}
    assert type(found["a"]) is type(expected)  # type: ignore[index]


def test_what_json_has_no_word_for_is_none() -> None:
    kind = {"type": "array", "items": ["null", "float", "double"]}
    found = read(avro_file(record_of(("a", kind)), [{"a": [1.5, float("nan"), float("inf"), None]}]), "a.avro")
    assert found == [{"a": [1.5, None, None, None]}]
    assert read(avro_file(record_of(("a", "double")), [{"a": float("-inf")}]), "a.avro") == [{"a": None}]


def test_bytes_are_text_where_they_are_and_base64_where_not() -> None:
    fixed = {"type": "fixed", "name": "f", "size": 2}
    data = avro_file(
        record_of(("a", "bytes"), ("b", "bytes"), ("c", fixed)), [{"a": "ü".encode(), "b": b"\xff\0", "c": b"ok"}]
    )
    assert read(data, "a.avro") == [{"a": "ü", "b": "/wA=", "c": "ok"}]


def test_uuids_are_text() -> None:
    text = "e5034df0-a404-47b4-a463-76df99934fea"
    assert value_of(logical("string", "uuid"), number(36) + text.encode()) == text
    fixed = {"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}
    assert value_of(fixed, bytes.fromhex(text.replace("-", ""))) == text


def test_whole_numbers_of_64_bits_stay_exact() -> None:
    data = avro_file(record_of(("a", "long"), ("b", "int")), [{"a": 2**63 - 1, "b": -(2**31)}, {"a": -(2**63), "b": 0}])
    assert read(data, "a.avro") == [{"a": 2**63 - 1, "b": -(2**31)}, {"a": -(2**63), "b": 0}]


def test_nested_values_are_dicts_and_lists_and_json_text_stays_text() -> None:
    colour = {"type": "enum", "name": "colour", "symbols": ["RED", "BLUE"]}
    leaf = record_of(("k", "string"), ("at", ["null", logical("long", "timestamp-millis")])) | {"name": "leaf"}
    schema = record_of(
        ("leaf", leaf), ("leaves", {"type": "array", "items": "leaf"}), ("map", {"type": "map", "values": "leaf"}),
        ("colour", colour), ("colours", {"type": "map", "values": ["null", "colour"]}), ("json", "string"),
        ("any", ["null", "boolean", "long", "string", "leaf"]),
    )  # fmt: skip
    one = {"k": "x", "at": None}
    record = {
        "leaf": one, "leaves": [one, {"k": "y", "at": datetime(2024, 3, 1, tzinfo=UTC)}], "map": {"ü": one},
        "colour": "BLUE", "colours": {"a": None, "b": "RED"}, "json": '{"a": 1}', "any": one,
    }  # fmt: skip
    assert read(avro_file(schema, [record, record | {"any": True}]), "a.avro") == [record, record | {"any": True}]


@pytest.mark.parametrize(
    ("branch", "raw", "expected"),
    [
        (0, number(19_783), date(2024, 3, 1)),
        (1, number(19_783), datetime(1970, 1, 1, 0, 0, 0, 19_783, UTC)),
        (2, number(2) + b"ab", "ab"),
        (3, b"ab", "ab"),
        (4, b"\x00\x7b", 1.23),
    ],
)
def test_of_a_union_each_branch_is_read_as_what_it_is(branch: int, raw: bytes, expected: Any) -> None:
    fixed = {"type": "fixed", "name": "f", "size": 2}
    decimal = {"type": "fixed", "name": "d", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 2}
    union = [logical("int", "date"), logical("long", "timestamp-micros"), "string", fixed, decimal]
    assert value_of(union, number(branch) + raw) == expected


def test_an_unknown_logical_type_is_read_as_what_it_is() -> None:
    assert value_of(logical("string", "timestamp-millis"), number(1) + b"x") == "x"
    assert value_of({"type": "string", "sqlType": "DATETIME"}, number(1) + b"x") == "x"
    assert value_of({"type": logical("long", "timestamp-millis")}, number(0)) == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_wrong_default_in_the_schema_is_no_reason_to_refuse_the_file() -> None:
    import orjson

    schema = record_of(("a", ["string", "null"]))
    schema["fields"][0]["default"] = None
    data = avro_header(orjson.dumps(schema), "null", b"m" * 16) + avro_block(1, number(1), b"m" * 16)
    assert read(data, "a.avro") == [{"a": None}]


def test_records_that_are_none_are_unreadable() -> None:
    assert read(avro_file("string", ["a", "b"]), "a.avro") == [Unreadable("not a record, as its schema says")] * 2


def test_text_that_is_not_utf_8_spoils_only_its_record() -> None:
    data = avro_file(record_of(("a", "string"), ("b", "long")), [{"a": "x_x", "b": n} for n in range(3)])
    second = data.index(b"x_x", data.index(b"x_x") + 1)
    found = read(data[:second] + b"x\xffx" + data[second + 3 :], "a.avro")
    assert (found[0], found[2]) == ({"a": "x_x", "b": 0}, {"a": "x_x", "b": 2})
    assert isinstance(found[1], Unreadable)
    assert found[1].reason.startswith("text that is not UTF-8: ")


SCHEMA = record_of(("n", "long"), ("text", ["null", "string"]))
RECORDS = [{"n": number, "text": f"record {number} " * 3} for number in range(40)]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_of_the_specification_is_read(codec: str) -> None:
    data = avro_file(SCHEMA, RECORDS, codec, sync_interval=200)
    assert read(data, "a.avro", rows=7) == RECORDS
    assert positions(data, "a.avro", rows=7) == list(range(1, 41))


def test_a_codec_that_is_none_is_refused_with_those_there_are() -> None:
    data = avro_file(SCHEMA, RECORDS).replace(b"avro.codec\x08null", b"avro.codec\x06lz4")
    with pytest.raises(BrokenPart, match="a.avro: its codec 'lz4' is none of null, deflate, snappy, zstandard"):
        read(data, "a.avro")


def read_to_the_break(data: bytes) -> tuple[list[Any], BrokenPart | None]:
    found: list[Any] = []
    try:
        for chunk in read_records(io.BytesIO(data), detect("a.avro"), "a.avro", 7):
            found += chunk.records
    except BrokenPart as broken:
        return found, broken
    return found, None


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_anywhere_is_broken_after_the_records_of_its_whole_blocks(codec: str) -> None:
    data = avro_file(SCHEMA, RECORDS, codec, sync_interval=200)
    ends = [block.offset + block.size for block in fastavro.block_reader(io.BytesIO(data))]
    counts = [block.num_records for block in fastavro.block_reader(io.BytesIO(data))]
    header = len(avro_file(SCHEMA, [], codec))
    assert len(ends) > 3
    for cut in sorted({*some(range(len(data))), header, *ends} - {len(data)}):
        whole = sum(count for end, count in zip(ends, counts, strict=True) if end <= cut)
        found, broken = read_to_the_break(data[:cut])
        assert found == RECORDS[:whole], cut
        # Avro does not say how many blocks there are: a file cut between two of them is a file.
        assert (broken is None) == (cut in (header, *ends)), cut
        if broken:
            assert str(broken).startswith("a.avro")
            with pytest.raises(BrokenPart, match="a.avro"):
                count_records(io.BytesIO(data[:cut]), detect("a.avro"), "a.avro")


@pytest.mark.parametrize("codec", ["snappy", "zstandard", "bzip2", "xz"])
def test_a_byte_that_changed_inside_a_block_with_a_checksum_is_noticed(codec: str) -> None:
    # zstandard has none as most writers use it; what it unpacks to is then held against the schema.
    data = avro_file(SCHEMA, RECORDS, codec)
    middle = (len(avro_file(SCHEMA, [], codec)) + len(data)) // 2
    for at in range(middle, middle + 10):
        found, broken = read_to_the_break(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        assert broken is not None or (codec == "zstandard" and len(found) == len(RECORDS))


def test_records_before_one_that_cannot_be_decoded_arrive() -> None:
    schema = record_of(("a", ["null", "long"]))
    data = avro_file(schema, [{"a": number} for number in range(1, 10)])
    # The fifth record claims a branch of the union that there is not.
    at = data.index(b"\x02\x0a")
    found, broken = read_to_the_break(data[:at] + b"\x08" + data[at + 1 :])
    assert found == [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}]
    assert "a.avro: record 5 cannot be read as its schema says" in str(broken)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "a.avro is no Avro file: it starts with b''"),
        (b'{"a":1}\n', "a.avro is no Avro file: it starts with b'{\"a\"'"),
        (avro_header(b"{", "null", b"m" * 16), "a.avro: its schema cannot be read"),
        (avro_header(b'{"type":"record"}', "null", b"m" * 16), "a.avro: its schema cannot be read"),
        (avro_header(b'"long"', "null", b"m" * 16) + avro_block(-1, b"\0", b"m" * 16), "block 1 is damaged"),
        (avro_header(b'"long"', "null", b"m" * 16) + avro_block(1, b"\0", b"n" * 16), "block 1 is damaged"),
        (
            avro_header(b'"long"', "null", b"m" * 16) + avro_block(1, b"\0\0", b"m" * 16),
            "1 bytes are left in the block",
        ),
        (avro_header(b'"long"', "null", b"m" * 16) + avro_block(3, b"\0\0", b"m" * 16), "record 3 cannot be read"),
        (avro_header(b'"long"', "null", b"m" * 16) + b"\x02" + number(2**40), "1,099,511,627,776 bytes are to follow"),
        (avro_header(b'"long"', "null", b"m" * 16) + b"\xff" * 11, "a number there has no end"),
    ],
)
def test_a_damaged_file_says_what_is_wrong_with_it(data: bytes, words: str) -> None:
    _, broken = read_to_the_break(data)
    assert words in str(broken)


def test_a_block_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthog_assets.sources.formats.avro_container._LARGEST", 10_000)
    for codec in CODECS[1:]:
        data = avro_file(record_of(("a", "string")), [{"a": "x" * 20_000}], codec)
        _, broken = read_to_the_break(data)
        assert "it holds more than" in str(broken)


def test_avro_named_as_if_it_were_compressed_outside_is_read() -> None:
    assert read(avro_file(SCHEMA, RECORDS), "a.avro.zst") == RECORDS


def test_avro_under_another_name_is_refused_with_the_setting_to_use() -> None:
    with pytest.raises(BrokenPart, match="a.jsonl is avro, not plain jsonl; set source.format: avro"):
        read(avro_file(SCHEMA, RECORDS), "a.jsonl")


def test_chunks_go_on_through_small_blocks() -> None:
    data = avro_file(SCHEMA, RECORDS, sync_interval=1)
    chunks: list[RecordChunk] = list(read_records(io.BytesIO(data), detect("a.avro"), "a.avro", 15))
    assert [list(chunk.positions) for chunk in chunks] == [
        list(range(1, 16)), list(range(16, 31)), list(range(31, 41)),
    ]  # fmt: skip
    assert not any(chunk.untyped for chunk in chunks)


def test_readers_of_others_in_the_process_stay_as_they_are() -> None:
    data = avro_file(record_of(("a", "double"), ("b", "bytes")), [{"a": float("inf"), "b": b"x"}])
    assert read(data, "a.avro") == [{"a": None, "b": "x"}]
    assert list(fastavro.reader(io.BytesIO(data))) == [{"a": float("inf"), "b": b"x"}]


def test_without_fastavro_the_import_file_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    words = r"format avro needs another package: pip install 'posthog_assets\[avro\]'"
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(ImportFileError, match=words):
        read(avro_file(SCHEMA, RECORDS), "a.avro")
    monkeypatch.setattr("posthog_assets.sources.files.source.is_installed", lambda: False)
    for settings in ({"path": "{day}.avro.gz"}, {"path": "{day}/*", "format": "avro"}):
        with pytest.raises(ValueError, match=words):
            Files.model_validate(settings)
    Files.model_validate({"path": "{day}.jsonl"})


_MEASURE = """
import io, resource, sys
from posthog_assets.sources.formats import detect, read_records
from posthog_assets.sources.formats.avro_container import avro_block, avro_header

class Long(io.RawIOBase):
    left, rest = int(sys.argv[1]), avro_header(b'{"type":"record","name":"r","fields":[{"name":"a","type":"string"}]}', "null", b"m" * 16)
    block = avro_block(100, (b"\\x88\\x0e" + b"x" * 900) * 100, b"m" * 16)
    def readable(self): return True
    def read(self, size=-1):
        while self.left and len(self.rest) < size:
            self.rest += self.block
            self.left -= 1
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

count = sum(len(c.records) for c in read_records(Long(), detect("a.avro"), "a.avro"))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""  # noqa: E501


@pytest.mark.end_to_end
def test_memory_stays_flat_however_long_a_file_that_cannot_be_sought_in_is() -> None:
    def measure(blocks: int) -> tuple[int, int]:
        command = [sys.executable, "-c", _MEASURE, str(blocks)]
        output = subprocess.run(command, capture_output=True, text=True, check=True)
        count, megabytes = output.stdout.split()
        return int(count), int(megabytes)

    small, large = measure(100), measure(2_000)
    assert (small[0], large[0]) == (10_000, 200_000)
    # The larger file is 170 MB larger.
    assert large[1] - small[1] < 20


def test_a_block_that_says_more_records_than_it_has_bytes_is_refused() -> None:
    data = avro_header(b'{"type":"record","name":"r","fields":[]}', "null", b"m" * 16)
    data += avro_block(10**11, b"", b"m" * 16)
    for read_file in (count_records, lambda *given: list(read_records(*given))):
        with pytest.raises(BrokenPart, match="a block says 100,000,000,000 records in 0 bytes: refused"):
            read_file(io.BytesIO(data), detect("a.avro"), "a.avro")


@pytest.mark.parametrize("items", ["null", {"type": "record", "name": "e", "fields": []}])
def test_an_array_of_too_many_values_without_bytes_is_refused(items: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avro, "MOST_VALUES", 1_000)
    with pytest.raises(BrokenPart, match="an array of more than 1,000 values without bytes: refused"):
        value_of({"type": "array", "items": items}, number(10**8) + number(0))


def test_an_array_of_a_few_nulls_is_read() -> None:
    assert value_of({"type": "array", "items": "null"}, number(3) + number(0)) == [None, None, None]


@pytest.mark.parametrize(
    ("items", "content", "words"),
    [
        ({"type": "array", "items": "int"}, number(2_500) + bytes(2_501), "1,000 values"),
        ("bytes", number(1) + number(17 << 20) + bytes(17 << 20) + number(0), "16 MiB"),
    ],
)
def test_a_record_of_too_many_values_or_bytes_breaks_the_part(
    items: Any, content: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avro, "MOST_VALUES", 1_000)
    with pytest.raises(BrokenPart, match=f"it is longer than {words}: refused"):
        value_of({"type": "array", "items": items}, content)
