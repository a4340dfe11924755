"""The files of a ledger: their names, what is in them, and that an altered one is noticed."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import DamagedFile
from posthog_assets.core.uuid_sorter import halves
from posthog_assets.destination.batch_files import (
    FileFacts,
    codes_of,
    content_of,
    digest_of,
    facts_of,
    file_name,
    is_batch_file,
    is_folded,
    no_layouts,
    number_of,
    read,
    write_folded,
)
from posthog_assets.destination.entries import CODES, Known
from posthog_assets.destination.ledger import Ledger
from posthog_assets.destination.verdicts import Verdict
from posthog_assets.storage.store import Store
from posthog_assets_tests.destination.test_ledger import FACTS, UUIDS, entries, packed


@pytest.mark.parametrize(
    ("name", "is_one", "folded"),
    [
        ("00000007-0a1b2c3d-0123456789abcdef.parquet", True, False),
        ("00000007-0a1b2c3d-0123456789abcdef-folded.parquet", True, True),
        ("00000007-0a1b2c3d.parquet", True, False),
        ("00000007.parquet", True, False),
        ("123456789.parquet", True, False),
        ("00000007-0a1b2c3d-0123456789abcdef (1).parquet", False, False),
        ("00000007-0a1b2c3d-0123456789abcde.parquet", False, False),
        ("0000007.parquet", False, False),
        ("00000007.parquet.tmp", False, False),
        ("ledger.parquet", False, False),
    ],
)
def test_a_file_is_the_ledgers_by_its_whole_name(name: str, is_one: bool, folded: bool) -> None:
    assert (is_batch_file(name), is_folded(name)) == (is_one, folded)


def test_numbers_of_more_than_eight_digits_are_written_and_read() -> None:
    name = file_name(123_456_789, "0a1b2c3d", "0123456789abcdef", folded=True)
    assert name == "123456789-0a1b2c3d-0123456789abcdef-folded.parquet"
    assert (is_batch_file(name), number_of(name), number_of("00000007.parquet")) == (True, 123_456_789, 7)


def test_a_batch_is_read_as_it_was_written_and_refused_under_another_digest() -> None:
    content = content_of(entries([(0, 2**64 - 2, Verdict.OK, None), (5, 0, Verdict.DROP, "too old")]), FACTS)
    facts, tables = read(io.BytesIO(content), file_name(1, "0a1b2c3d", digest_of(content)), no_layouts())
    (table,) = tables
    assert facts == FileFacts([(file_name(1, "0a1b2c3d", digest_of(content)), FACTS)])
    assert table["uuid"].to_pylist() == [bytes(16), bytes([255] * 16)]
    assert table["content_hash"].to_pylist() == [2**64 - 2, 0]
    assert codes_of(table).tolist() == [CODES[Verdict.OK], CODES[Verdict.DROP]]
    with pytest.raises(ValueError, match="its content is not that of which its name has the digest"):
        read(io.BytesIO(content), file_name(1, "0a1b2c3d", "0" * 16), no_layouts())


def test_a_folded_file_has_the_facts_of_each_batch_and_their_sums_for_release_0_1(tmp_path: Path) -> None:
    high, low = halves(packed([1, 6]))
    known = Known(
        high, low, np.array([7, 8], np.uint64), np.array([9, 10], np.uint64),
        np.array([CODES[Verdict.DROP], CODES[Verdict.OK]], np.int8), np.array([1, 0], np.int32), (None, "too old"),
    )  # fmt: skip
    batches = [
        ("00000001.parquet", replace(FACTS, dropped=1)),
        ("00000002.parquet", replace(FACTS, dropped=2, request_id="last")),
    ]
    facts = FileFacts(batches, frozenset({"00000002.parquet", "00000001.parquet"}))
    digest = write_folded(tmp_path / "folded", [known], facts)
    assert digest == digest_of((tmp_path / "folded").read_bytes())
    with (tmp_path / "folded").open("rb") as file:
        found, tables = read(file, file_name(3, "0a1b2c3d", digest, folded=True), no_layouts())
        assert found == facts_of(file, "any") == facts
        assert [row for table in tables for row in table.to_pylist()] == [
            {"uuid": UUIDS[1], "content_hash": 7, "key_hash": 9, "verdict": "drop", "detail": "too old"},
            {"uuid": UUIDS[6], "content_hash": 8, "key_hash": 10, "verdict": "ok", "detail": None},
        ]
        sums = orjson.loads(pq.read_schema(file).metadata[b"posthog_assets"])
    assert {name: sums[name] for name in ("events", "dropped", "request_id")} == {
        "events": 2, "dropped": 3, "request_id": "last",
    }  # fmt: skip


def test_a_batch_file_holds_sixteen_bytes_a_uuid_and_the_words(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path), "small"), "2024-03-01")
    ledger.append(entries([(1, 7, Verdict.OK, None), (4, 8, Verdict.DROP, "too old")]), FACTS)
    (path,) = tmp_path.glob("small/imported_batches/2024-03-01/batches/*.parquet")
    assert pq.read_table(path).to_pylist() == [
        {"uuid": UUIDS[1], "content_hash": 7, "key_hash": 8, "verdict": "ok", "detail": None},
        {"uuid": UUIDS[4], "content_hash": 8, "key_hash": 9, "verdict": "drop", "detail": "too old"},
    ]


def test_facts_that_were_altered_are_noticed_where_only_they_are_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    Ledger(store, "2024-03-01").append(entries([(1, 7, Verdict.OK, None)]), FACTS)
    (path,) = tmp_path.glob("small/imported_batches/2024-03-01/batches/*.parquet")
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"posthog_assets": orjson.dumps({"dropped": 1})}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(DamagedFile, match=r"its facts are not what was written.*Restore it from a backup"):
        Ledger(store, "2024-03-01").may_hold_drops()
