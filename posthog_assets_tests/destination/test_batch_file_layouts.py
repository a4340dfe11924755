"""A batch file that looks like an earlier one is read without Parquet, and read the same."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.destination import batch_files
from posthog_assets.destination.batch_files import BatchFacts, codes_of, content_of, no_layouts, read
from posthog_assets.destination.entries import CODES, Entries
from posthog_assets.destination.verdicts import Verdict
from posthog_assets_tests.examples import examples

FACTS = BatchFacts("2024-03-01T10:00:00+00:00", "v1", "r", 1, 1, 1, 0, 0, 10, 5, None, None, "m")
NAME = "00000001-0123abcd.parquet"


def file_of(numbers: list[int], verdicts: list[Verdict], words: list[str | None], requests: int = 1) -> bytes:
    entries = Entries(
        np.array([number.to_bytes(16, "little") for number in numbers], dtype="S16"),
        np.array(numbers, dtype=np.uint64), np.array(numbers, dtype=np.uint64) + np.uint64(1),
        np.array([CODES[verdict] for verdict in verdicts], dtype=np.int8), words,
    )  # fmt: skip
    return content_of(entries, replace(FACTS, requests=requests, events=len(numbers)))


def same(count: int, start: int = 0, requests: int = 1) -> bytes:
    return file_of(list(range(start, start + count)), [Verdict.OK] * count, [None] * count, requests)


def as_parquet_reads(content: bytes) -> pa.Table:
    """Return what Parquet reads where the footer does not say which Arrow types its columns have."""
    return pq.read_table(io.BytesIO(content.replace(b"\x0cARROW:schema", b"\x0cother:schema")), use_threads=False)


_ROWS = st.lists(
    st.tuples(st.integers(0, 2**63), st.sampled_from([Verdict.OK, Verdict.DROP]), st.sampled_from([None, "why"])),
    max_size=4,
)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(_ROWS, st.integers(0, 10**6)), min_size=2, max_size=8))
def test_files_read_the_same_whatever_was_read_before(
    files: list[tuple[list[tuple[int, Verdict, str | None]], int]],
) -> None:
    layouts = no_layouts()
    for rows, requests in files:
        content = file_of([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], requests)
        facts, (table,) = read(io.BytesIO(content), NAME, layouts)
        alone, (expected,) = read(io.BytesIO(content), NAME, no_layouts())
        assert facts == alone
        assert table.to_pylist() == expected.to_pylist() == as_parquet_reads(content).to_pylist()
        assert codes_of(table).tolist() == [CODES[verdict] for _, verdict, _ in rows]


def test_a_file_that_is_too_large_to_be_copied_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    content = file_of([1, 2, 3], [Verdict.OK, Verdict.DROP, Verdict.OK], [None, "why", None])
    expected, (table,) = read(io.BytesIO(content), NAME, no_layouts())
    monkeypatch.setattr(batch_files, "_COPIED", 100)
    facts, (large,) = read(io.BytesIO(content), NAME, no_layouts())
    assert (facts, large) == (expected, table)


def test_a_file_of_as_many_events_with_the_same_verdicts_is_read_without_parquet() -> None:
    layouts = no_layouts()
    read(io.BytesIO(same(20)), NAME, layouts)
    found = layouts.read(same(20, 1_000, requests=12_345))
    assert found is not None
    assert found[1]["content_hash"].to_pylist() == list(range(1_000, 1_020))


@pytest.mark.parametrize(
    "other",
    [
        same(21),
        file_of(list(range(20)), [Verdict.OK] * 19 + [Verdict.DROP], [None] * 20),
        file_of(list(range(20)), [Verdict.OK] * 20, [None] * 19 + ["why"]),
        b"", b"PAR1", b"PAR1PAR1", same(20)[:-1], same(20)[:-8], same(20)[1:],
    ],
)  # fmt: skip
def test_a_file_that_differs_in_more_than_its_values_is_not(other: bytes) -> None:
    layouts = no_layouts()
    read(io.BytesIO(same(20)), NAME, layouts)
    assert layouts.read(other) is None


@pytest.mark.parametrize(("length", "is_learned"), [(10, True), (1_000, False)])
def test_how_a_file_looks_is_not_remembered_where_it_is_mostly_words(length: int, is_learned: bool) -> None:
    layouts = no_layouts()
    content = file_of(list(range(20)), [Verdict.DROP] * 20, [f"{number:0{length}d}" for number in range(20)])
    read(io.BytesIO(content), NAME, layouts)
    assert (layouts.read(content) is not None) == is_learned


def test_a_flipped_bit_is_no_value_where_it_is_none() -> None:
    layouts, whole = no_layouts(), same(3)
    read(io.BytesIO(whole), NAME, layouts)
    taken = 0
    for place in range(0, len(whole), 3):
        flipped = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        if (found := layouts.read(flipped)) is None:
            continue
        taken += 1
        noted, table = found
        expected = as_parquet_reads(flipped)
        assert table.to_pylist() == expected.to_pylist()
        assert all(expected.schema.metadata[name] == value for name, value in noted.items())
    # Of the values every third byte is one: 16 + 8 + 8 in each of three rows.
    assert taken > 32
