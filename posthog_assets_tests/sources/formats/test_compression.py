"""Every format in every compression, and what is broken about them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import BrokenPart, SourceUnavailable
from posthog_assets.sources.formats import Compression, Format, Framing, Unreadable, count_records, detect, read_records
from posthog_assets_tests.sources.formats.reading import COMPRESSORS, archive, read, shared

RECORDS = [
    {"id": "1", "city": "Zürich", "note": 'two\nlines, "quoted"'},
    {"id": "2", "city": "東京", "note": ""},
    {"id": "3", "city": "", "note": "line\u2028separator"},
]
JSONL = (
    '{"id":"1","city":"Zürich","note":"two\\nlines, \\"quoted\\""}\n'
    '{"id":"2","city":"東京","note":""}\n'
    '{"id":"3","city":"","note":"line\u2028separator"}\n'
).encode()


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), sink)
    return sink.getvalue()


def _avro() -> bytes:
    sink = io.BytesIO()
    fields = [{"name": name, "type": "string"} for name in RECORDS[0]]
    fastavro.writer(sink, {"type": "record", "name": "row", "fields": fields}, RECORDS, codec="deflate")
    return sink.getvalue()


FORMATS = {
    ".jsonl": JSONL,
    ".json": b"[" + JSONL.strip().replace(b"\n", b",\n") + b"]",
    ".csv": 'id,city,note\n1,Zürich,"two\nlines, ""quoted"""\n2,東京,\n3,,line\u2028separator\n'.encode(),
    ".parquet": _parquet(),
    ".avro": _avro(),
}


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("format", FORMATS)
def test_the_same_records_come_out_of_every_format_and_compression(format: str, compression: str) -> None:
    data = COMPRESSORS[compression](FORMATS[format])
    assert read(data, f"day{format}{compression}") == RECORDS


@pytest.mark.parametrize("compression", [".gz", ".zst", ".bz2"])
def test_members_one_after_the_other_are_one_file(compression: str) -> None:
    compress = COMPRESSORS[compression]
    half = JSONL.index(b"\n") + 10
    assert read(compress(JSONL[:half]) + compress(b"") + compress(JSONL[half:]), f"a.jsonl{compression}") == RECORDS


@pytest.mark.parametrize(
    ("compression", "damage"),
    [
        (compression, damage)
        for compression in (".gz", ".zst", ".bz2", ".zip")
        for damage in ("cut", "cut short", "empty", "plain", "followed by garbage", "flipped")
        # What follows a zip may be its comment, or of no meaning.
        if (compression, damage) != (".zip", "followed by garbage")
    ],
)
def test_a_damaged_file_names_itself_and_never_ends_silently(compression: str, damage: str) -> None:
    good = COMPRESSORS[compression](JSONL * 1_000)
    bad = {
        "cut": good[: len(good) // 2],
        "cut short": good[:-3],
        "empty": b"",
        "plain": JSONL,
        "followed by garbage": good + b"garbage that is none",
        "flipped": good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 0x55]) + good[len(good) // 2 + 1 :],
    }[damage]
    with pytest.raises(BrokenPart, match="exports/day.jsonl"):
        read(bad, f"exports/day.jsonl{compression}")


def test_a_truncated_second_member_is_noticed() -> None:
    whole = gzip.compress(JSONL)
    with pytest.raises(BrokenPart, match="a.jsonl.gz cannot be read.*ended before the end-of-stream"):
        read(whole + whole[:-9], "a.jsonl.gz")


def test_compressed_bytes_under_a_plain_name_are_refused_with_the_setting_to_use() -> None:
    with pytest.raises(BrokenPart, match=r"a.jsonl is gzip, not plain jsonl; set source.compression: gzip"):
        read(gzip.compress(JSONL), "a.jsonl")


def test_parquet_named_as_if_it_were_compressed_outside_is_read() -> None:
    assert read(_parquet(), "posthog.parquet.zst") == RECORDS


def test_parquet_without_a_footer_is_broken() -> None:
    with pytest.raises(BrokenPart, match="a.parquet cannot be read as Parquet"):
        read(_parquet()[:-20], "a.parquet")


def test_zip_members_are_read_in_the_order_of_their_names_each_as_its_own_name_says() -> None:
    data = archive(
        {
            "b.jsonl": b'{"n":3}\n',
            "a.json.gz": gzip.compress(b'{"n":1}\n{"n":2}\n'),
            "c.csv": b"n\n4\n",
            "__MACOSX/._a.jsonl": b"\0\1",
            "folder/": b"",
        }
    )
    assert read(data, "export.zip") == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": "4"}]


def test_positions_count_on_through_the_members_of_a_zip() -> None:
    data = archive({"a.jsonl": b'{"n":1}\n\n{"n":2}\n', "b.jsonl": b'{"n":3}\n'})
    chunks = list(read_records(io.BytesIO(data), detect("export.zip"), "export.zip"))
    assert [list(chunk.positions) for chunk in chunks] == [[1, 3], [4]]


def test_a_zip_in_a_zip_is_read() -> None:
    assert read(archive({"inner.zip": archive({"a.jsonl": b'{"n":1}\n'})}), "export.zip") == [{"n": 1}]


def test_a_member_whose_name_tells_nothing_reads_as_the_zip_is_named_or_is_refused() -> None:
    assert read(archive({"flights": b"n\n1\n"}), "flights.csv.zip") == [{"n": "1"}]
    with pytest.raises(BrokenPart, match="export.zip!README: neither the member's name nor the zip's tells the format"):
        read(archive({"README": b"hello"}), "export.zip")


def test_a_zip_bomb_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb, bomb.open("a.jsonl", "w") as member:
        for _ in range(110):
            member.write(bytes(1 << 20))
    with pytest.raises(BrokenPart, match=r"export.zip!a.jsonl would unpack to 115,343,360 bytes from"):
        read(file.getvalue(), "export.zip")


def test_a_store_that_fails_while_reading_is_no_broken_part() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise ConnectionResetError("the peer hung up")
            return super().read(10)

    with pytest.raises(SourceUnavailable, match="a.jsonl could not be read: the peer hung up"):
        list(read_records(Failing(JSONL), detect("a.jsonl"), "a.jsonl"))


@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("wikipedia-edits-2015-09-12.jsonl.gz", 39_244),
        ("github-events-2021-07-21.jsonl.gz", 800),
        ("segment-spec.jsonl", 532),
    ],
)
def test_every_record_of_the_real_files_arrives(name: str, records: int) -> None:
    found = read(shared(name).read_bytes(), name)
    assert len(found) == records
    assert not [record for record in found if isinstance(record, Unreadable)]


def test_a_zip_that_lists_more_members_than_memory_would_hold_is_refused() -> None:
    # Only the end of an archive, which says how long the list before it is.
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 1 << 30, 0, 0)
    with pytest.raises(BrokenPart, match=r"its list of members is 1,073,741,824 bytes long, no export has that many"):
        count_records(io.BytesIO(b"PK\x03\x04" + end), Framing(Format.JSONL, Compression.ZIP), "a.zip")
    large = b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, 1, 1, 1 << 40, 0)
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with pytest.raises(BrokenPart, match=r"its list of members is 1,099,511,627,776 bytes long"):
        count_records(io.BytesIO(large + end), Framing(Format.JSONL, Compression.ZIP), "a.zip")


def test_a_member_that_is_compressed_twice_to_unpack_without_end_is_refused() -> None:
    line = b'{"n":0}' + b" " * 1_000_000 + b"\n"
    inner = gzip.compress(line * 250)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a.json.gz", gzip.compress(line) + inner)
    assert len(archive.getvalue()) < 20_000
    with pytest.raises(BrokenPart, match=r"a\.json\.gz unpacks to more than 1,000 times its [\d,]+ bytes: refused"):
        count_records(archive, Framing(Format.JSONL, Compression.ZIP), "a.zip")


def test_text_that_is_compressed_twice_is_no_text() -> None:
    part = io.BytesIO(gzip.compress(gzip.compress(b'{"n":1}\n')))
    with pytest.raises(BrokenPart, match="a.jsonl.gz is compressed twice"):
        count_records(part, Framing(Format.JSONL, Compression.GZIP), "a.jsonl.gz")
