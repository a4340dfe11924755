"""Containers of Avro, written by fastavro and by us, whole and damaged."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest

from posthog_assets.core.errors import BrokenPart
from posthog_assets.sources.formats.avro_container import MARK, Block, Container, avro_block, avro_header

SCHEMA = fastavro.parse_schema({"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}]})


def container(codec: str = "null", count: int = 500) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, SCHEMA, [{"n": number} for number in range(count)], codec=codec, sync_interval=200)
    return file.getvalue()


def pieces(content: bytes, size: int = 7) -> Iterator[bytes]:
    """Yield the bytes as they may come over a network."""
    for at in range(0, len(content), size):
        yield content[at : at + size]


def numbers(content: bytes) -> list[int]:
    found: list[int] = []
    read = Container(pieces(content), "a.avro")
    for block in read:
        file = io.BytesIO(read.unpacked(block))
        for _ in range(block.count):
            record: Any = fastavro.schemaless_reader(file, SCHEMA, None)
            found.append(record["n"])
    return found


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard", "bzip2", "xz"])
def test_every_codec_of_the_specification_is_unpacked(codec: str) -> None:
    try:
        content = container(codec)
    except ValueError as error:
        pytest.skip(f"fastavro cannot write {codec} here: {error}")
    assert numbers(content) == list(range(500))


def test_what_is_put_together_here_is_read_by_fastavro() -> None:
    mark = b"m" * MARK
    content = avro_header(b'"long"', "null", mark) + avro_block(2, b"\x02\x04", mark) + avro_block(1, b"\x7f", mark)
    assert list(fastavro.reader(io.BytesIO(content))) == [1, 2, -64]


def test_an_empty_container_has_a_schema_and_no_block() -> None:
    read = Container(pieces(avro_header(b'"long"', "null", b"m" * MARK)), "a.avro")
    assert (read.schema, list(read)) == (b'"long"', [])


@pytest.mark.parametrize("cut", [1, 8, MARK, MARK + 5])
def test_a_file_that_ends_early_is_broken_wherever_it_ends(cut: int) -> None:
    with pytest.raises(BrokenPart, match=r"a.avro: the file ends inside block \d+"):
        numbers(container()[:-cut])


def test_a_file_that_ends_in_its_header_says_so() -> None:
    with pytest.raises(BrokenPart, match="a.avro: the file ends in its header"):
        numbers(container()[:30])


def test_another_file_is_named_by_how_it_starts() -> None:
    with pytest.raises(BrokenPart, match=r"a.avro is no Avro file: it starts with b'PAR1'"):
        numbers(b"PAR1....")


def test_a_mark_that_is_not_where_it_should_be_is_damage() -> None:
    mark = b"m" * MARK
    content = avro_header(b'"long"', "null", mark) + avro_block(1, b"\x02", b"x" * MARK)
    with pytest.raises(BrokenPart, match="block 1 is damaged: its end is not where it should be"):
        numbers(content)


def test_a_length_that_no_file_has_is_not_believed() -> None:
    mark = b"m" * MARK
    content = avro_header(b'"long"', "null", mark) + b"\x02" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
    with pytest.raises(BrokenPart, match="a.avro is damaged inside block 1: .* bytes are to follow, no file has that"):
        numbers(content)


def test_a_number_without_an_end_is_damage() -> None:
    content = avro_header(b'"long"', "null", b"m" * MARK) + b"\xff" * 12
    with pytest.raises(BrokenPart, match="a number there has no end"):
        numbers(content)


def test_an_unknown_codec_is_named_with_those_that_are_known() -> None:
    with pytest.raises(BrokenPart, match="its codec 'lz77' is none of null, deflate, snappy, zstandard, bzip2, xz"):
        Container(pieces(avro_header(b'"long"', "lz77", b"m" * MARK)), "a.avro")


def test_a_checksum_of_snappy_is_checked() -> None:
    content = bytearray(container("snappy", 5))
    content[-MARK - 1] ^= 0xFF
    with pytest.raises(BrokenPart, match="a block cannot be decompressed: its checksum is another one"):
        numbers(bytes(content))


def test_a_block_that_says_more_records_than_its_bytes_can_hold_is_refused() -> None:
    read = Container(pieces(avro_header(b'"null"', "null", b"m" * MARK)), "a.avro")
    assert read.unpacked(Block(1_000, b"")) == b""
    with pytest.raises(BrokenPart, match="a block says 1,001 records in 0 bytes: refused"):
        read.unpacked(Block(1_001, b""))
