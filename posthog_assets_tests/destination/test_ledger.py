"""What the ledger remembers of each event, whatever the order and number of its batches."""

from __future__ import annotations

import hashlib
import os
import resource
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core import uuid_sorter
from posthog_assets.core.errors import DamagedFile, StorageError
from posthog_assets.destination import ledger as ledger_module
from posthog_assets.destination.entries import CODES, Entries
from posthog_assets.destination.ledger import BatchFacts, Ledger
from posthog_assets.destination.verdicts import Verdict
from posthog_assets.storage.store import Store
from posthog_assets_tests.examples import examples
from posthog_assets_tests.fakes.object_store import options, s3_server

#: Uuids that begin or end alike, or end with zeros.
UUIDS = [
    bytes(16),
    bytes([1] * 8 + [0] * 8),
    bytes([1] * 8 + [0] * 7 + [1]),
    bytes([1] * 8 + [255] * 8),
    bytes([2] + [0] * 15),
    bytes([255] * 16),
    bytes(range(16)),
]
FACTS = BatchFacts("2024-03-01T10:00:00+00:00", "v1", "r", 1, 1, 1, 0, 0, 10, 5, None, None, "m")


def entries(rows: list[tuple[int, int, Verdict, str | None]]) -> Entries:
    return Entries(
        np.frombuffer(b"".join(UUIDS[which] for which, *_ in rows), dtype="S16"),
        np.array([content for _, content, *_ in rows], dtype=np.uint64),
        np.array([content + 1 for _, content, *_ in rows], dtype=np.uint64),
        np.array([CODES[verdict] for *_, verdict, _ in rows], dtype=np.int8),
        [words for *_, words in rows],
    )


def packed(which: list[int]) -> np.ndarray:
    return np.frombuffer(b"".join(UUIDS[number] for number in which), dtype="S16")


_ROW = st.tuples(
    st.integers(0, len(UUIDS) - 2), st.integers(0, 2**64 - 2), st.sampled_from(list(Verdict)),
    st.sampled_from([None, "why", "other"]),
)  # fmt: skip


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.lists(_ROW, min_size=1, max_size=5), max_size=6))
def test_the_newest_entry_of_every_uuid_counts(
    batches: list[list[tuple[int, int, Verdict, str | None]]],
) -> None:
    newest = {row[0]: row[1:] for batch in batches for row in batch}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder, "small")
        writer = Ledger(store, "2024-03-01")
        for batch in batches:
            writer.append(entries(batch), FACTS)
        known = Ledger(store, "2024-03-01").load()
    assert len(known) == len(newest)
    asked = [6, 5, 4, 3, 2, 1, 0, 3]
    found = known.find(packed(asked))
    assert [at >= 0 for at in found.tolist()] == [which in newest for which in asked]
    for which, at in zip(asked, found.tolist(), strict=True):
        if at >= 0:
            content, verdict, words = newest[which]
            assert (known.hashes[at], known.keys[at], known.codes[at]) == (content, content + 1, CODES[verdict])
            assert known.detail(at) == words
    verdicts = [newest[which][1] if which in newest else None for which in asked]
    assert known.are_acknowledged(found).tolist() == [bool(verdict and verdict.acknowledged) for verdict in verdicts]


def test_what_is_taken_back_keeps_its_uuid_to_the_last_byte(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path), "small"), "2024-03-01")
    ledger.append(entries([(which, which, Verdict.OK, None) for which in range(len(UUIDS))]), FACTS)
    known = ledger.load()
    where = known.find(packed([2, 0, 4]))
    ledger.append(known.taken_back(where, "not found"), FACTS)
    again = Ledger(Store(str(tmp_path), "small"), "2024-03-01").load()
    asked = list(range(len(UUIDS)))
    at = again.find(packed(asked))
    assert again.are_acknowledged(at).tolist() == [False, True, False, True, False, True, True]
    assert [again.detail(index) for index in at.tolist()] == [
        "not found",
        None,
        "not found",
        None,
        "not found",
        None,
        None,
    ]


def test_drops_are_known_without_reading_the_events(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    ledger = Ledger(store, "2024-03-01")
    ledger.append(entries([(1, 7, Verdict.OK, None)]), FACTS)
    assert not Ledger(store, "2024-03-01").may_hold_drops()
    dropped = BatchFacts("2024-03-01T10:00:01+00:00", "v1", "r", 1, 1, 0, 1, 0, 10, 5, None, None, "m")
    ledger.append(entries([(2, 7, Verdict.DROP, None)]), dropped)
    assert Ledger(store, "2024-03-01").may_hold_drops()
    assert ledger.may_hold_drops()


@pytest.mark.end_to_end
def test_many_batches_on_an_object_store_keep_their_order() -> None:
    pytest.importorskip("moto", reason="needs moto[server]")
    pytest.importorskip("s3fs", reason="needs the extra posthog_assets[s3]")
    with s3_server() as url:
        store = Store("s3://history/ledger", "small", options(url))
        writer = Ledger(store, "2024-03-01")
        for number in range(70):
            writer.append(entries([(number % 5, number, Verdict.OK, None)]), FACTS)
        reader = Ledger(store, "2024-03-01")
        known = reader.load()
        assert known.hashes[known.find(packed([0, 1, 2, 3, 4]))].tolist() == [65, 66, 67, 68, 69]
        assert [row["number"] for row in Ledger(store, "2024-03-01").facts()] == list(range(1, 71))


def test_a_flipped_bit_anywhere_in_a_batch_file_is_noticed(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    Ledger(store, "2024-03-01").append(
        entries([(which, which, Verdict.DROP if which else Verdict.OK, "too old") for which in range(len(UUIDS))]),
        FACTS,
    )
    (path,) = tmp_path.glob("small/imported_batches/2024-03-01/batches/*.parquet")
    whole = path.read_bytes()
    for place in [*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1]:
        for bit in (0, 6):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])
            with pytest.raises(DamagedFile, match=path.name):
                Ledger(store, "2024-03-01").load()
    path.write_bytes(whole)
    assert len(Ledger(store, "2024-03-01").load()) == len(UUIDS)


def test_batch_files_of_release_0_1_whose_names_have_no_digest_are_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    Ledger(store, "2024-03-01").append(entries([(1, 7, Verdict.OK, None)]), FACTS)
    (path,) = tmp_path.glob("small/imported_batches/2024-03-01/batches/*.parquet")
    renamed_as_release_0_1_did(path)
    assert Ledger(store, "2024-03-01").load().acknowledged.tolist() == [True]


def renamed_as_release_0_1_did(path: Path, table: pa.Table | None = None) -> Path:
    """Return the batch file at *path* under a name without a digest, with *table* in place of its rows."""
    new = path.with_name(path.name[:17] + ".parquet")
    path.rename(new)
    if table is not None:
        pq.write_table(table, new)
    return new


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("verdict", pa.array(["taken"]).cast(pa.dictionary(pa.int8(), pa.string()))),
        ("verdict", pa.array([None], pa.string()).cast(pa.dictionary(pa.int8(), pa.string()))),
        ("key_hash", pa.array([None], pa.uint64())),
    ],
)
def test_one_of_many_files_whose_rows_are_not_what_was_written_is_named(
    tmp_path: Path, column: str, values: pa.Array
) -> None:
    store = Store(str(tmp_path), "small")
    ledger = recorded(store, 5)
    paths = sorted(tmp_path.glob("small/imported_batches/2024-03-01/batches/*.parquet"))
    table = pq.read_table(paths[3])
    place = table.schema.get_field_index(column)
    damaged = renamed_as_release_0_1_did(paths[3], table.set_column(place, table.schema.field(place), values))
    ledger = Ledger(store, "2024-03-01")
    with pytest.raises(DamagedFile, match=damaged.name):
        ledger.load()
    with pytest.raises(DamagedFile, match=damaged.name), ledger.sorted_entries():
        pass


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("put", "words"),
    [
        (lambda path: path.mkdir(), "is a folder, a pipe or a link to itself where a file should be. Move it away"),
        (lambda path: os.mkfifo(path), "is a folder, a pipe or a link to itself where a file should be. Move it away"),
        (lambda path: path.symlink_to(path.name), "is a folder, a pipe or a link to itself where a file should be"),
        (lambda path: path.symlink_to("gone"), "is listed in .* but not there .*remove the link"),
    ],
    ids=["folder", "pipe", "loop", "leads nowhere"],
)
@pytest.mark.parametrize("ask", [Ledger.load, Ledger.facts, Ledger.fold])
def test_what_is_no_file_in_the_place_of_a_batch_is_named_and_not_waited_for(
    put: Callable[[Path], object], words: str, ask: Callable[[Ledger], object], tmp_path: Path
) -> None:
    recorded(Store(str(tmp_path), "small"))
    path = sorted(tmp_path.glob("small/imported_batches/2024-03-01/batches/*.parquet"))[4]
    path.unlink()
    put(path)
    with pytest.raises(StorageError, match=words) as raised:
        ask(Ledger(Store(str(tmp_path), "small"), "2024-03-01"))
    assert path.name in str(raised.value)


def test_batches_are_read_the_same_however_many_files_are_read_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = recorded(Store(str(tmp_path), "small"))
    monkeypatch.setattr(ledger_module, "_TOGETHER", 5)
    assert content(ledger) == EXPECTED
    monkeypatch.setattr(ledger_module, "_ROWS_TOGETHER", 1)
    assert content(ledger) == EXPECTED


def recorded(store: Store, batches: int = 12) -> Ledger:
    """Return a ledger of *batches* files, of which the later ones replace entries of the first."""
    ledger = Ledger(store, "2024-03-01")
    for number in range(batches):
        row = (number % 5, number, Verdict.DROP if number == 11 else Verdict.OK, "too old" if number == 11 else None)
        ledger.append(entries([row]), replace(FACTS, dropped=int(number == 11)))
    return ledger


def content(ledger: Ledger) -> list[tuple[int, str, str | None]]:
    known = ledger.load()
    found = known.find(packed([0, 1, 2, 3, 4])).tolist()
    return [(int(known.hashes[at]), list(Verdict)[known.codes[at]].value, known.detail(at)) for at in found]


EXPECTED = [(10, "ok", None), (11, "drop", "too old"), (7, "ok", None), (8, "ok", None), (9, "ok", None)]


@pytest.mark.parametrize("kept", [False, True])
def test_folded_files_know_what_each_of_them_knew(tmp_path: Path, kept: bool) -> None:
    store = Store(str(tmp_path), "small")
    ledger = recorded(store)
    with ledger.sorted_entries() as entries_before:
        ledger.fold(entries_before if kept else None)
    (name,) = store.names("imported_batches/2024-03-01/batches")
    assert name.startswith("00000013-") and name.endswith("-folded.parquet")
    for one in (ledger, Ledger(store, "2024-03-01")):
        assert content(one) == EXPECTED
        assert [row["number"] for row in one.facts()] == list(range(1, 13))
        assert one.may_hold_drops()
    # What is recorded after it counts more.
    ledger.append(entries([(0, 77, Verdict.OK, None)]), FACTS)
    again = Ledger(store, "2024-03-01")
    assert content(again) == [(77, "ok", None), *EXPECTED[1:]]
    assert [row["number"] for row in again.facts()] == [*range(1, 13), 14]


def test_a_ledger_larger_than_memory_takes_is_folded_to_what_it_knew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uuid_sorter, "_RUN_ROWS", 32)
    monkeypatch.setattr(uuid_sorter, "_SAMPLED", 4)
    store = Store(str(tmp_path), "small")
    ledger = Ledger(store, "2024-03-01")
    for number in range(20):
        # Every other event of a batch was in the one before, with another hash and another verdict.
        uuids = [hashlib.md5(b"%d" % (number * 5 + n)).digest() for n in range(10)]
        hashes, codes = np.full(10, number, np.uint64), np.array([0, 2] * 5, np.int8)
        details: list[str | None] = [f"{number} {n}" for n in range(10)]
        ledger.append(Entries(np.frombuffer(b"".join(uuids), "S16"), hashes, hashes + 1, codes, details), FACTS)
    before = ledger.load()
    ledger.fold()
    (path,) = tmp_path.glob("small/imported_batches/2024-03-01/batches/*.parquet")
    after = Ledger(store, "2024-03-01").load()
    assert pq.read_metadata(path).num_row_groups > 4
    assert len(after) == len(before) == 105
    for name in ("high", "low", "hashes", "keys", "codes"):
        assert getattr(after, name).tolist() == getattr(before, name).tolist()
    assert [after.detail(n) for n in range(105)] == [before.detail(n) for n in range(105)]


def test_few_files_stay_as_they_are(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    recorded(store, 9).fold()
    assert len(store.names("imported_batches/2024-03-01/batches")) == 9


def test_folded_files_are_folded_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    recorded(store).fold()
    later = Ledger(store, "2024-03-01")
    for number in range(10):
        later.append(entries([(2, 100 + number, Verdict.OK, None)]), FACTS)
    later.fold()
    assert len(store.names("imported_batches/2024-03-01/batches")) == 1
    again = Ledger(store, "2024-03-01")
    assert content(again) == [*EXPECTED[:2], (109, "ok", None), *EXPECTED[3:]]
    assert [row["number"] for row in again.facts()] == [*range(1, 13), *range(14, 24)]


def test_a_process_killed_between_folding_and_deleting_leaves_a_whole_ledger(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    ledger = recorded(store)
    folder = tmp_path / "small/imported_batches/2024-03-01/batches"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ledger.fold()
    for name, data in list(before.items())[3:]:
        (folder / name).write_bytes(data)
    left = Ledger(store, "2024-03-01")
    assert content(left) == EXPECTED
    assert [row["number"] for row in left.facts()] == list(range(1, 13))
    left.fold()
    assert len(list(folder.iterdir())) == 1
    assert content(Ledger(store, "2024-03-01")) == EXPECTED


def test_files_that_another_run_folds_while_they_are_read_are_found_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    recorded(store)
    reader, facts = Ledger(store, "2024-03-01"), Ledger(store, "2024-03-01")
    Ledger(store, "2024-03-01").fold()
    assert content(reader) == EXPECTED
    assert len(facts.facts()) == 12


def test_a_flipped_bit_in_folded_files_is_noticed(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "small")
    recorded(store).fold()
    (path,) = tmp_path.glob("small/imported_batches/2024-03-01/batches/*.parquet")
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 20)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(DamagedFile, match=path.name):
            Ledger(store, "2024-03-01").load()


def test_folded_files_read_as_one_batch_by_release_0_1(tmp_path: Path) -> None:
    """What that release reads of a batch file: its rows, and its facts under the name `posthog_assets`."""
    store = Store(str(tmp_path), "small")
    recorded(store).fold()
    (path,) = tmp_path.glob("small/imported_batches/2024-03-01/batches/*.parquet")
    table = pq.read_table(path)
    assert int(path.name[:8]) == 13
    assert table.num_rows == 5
    facts = BatchFacts(**orjson.loads(table.schema.metadata[b"posthog_assets"]))
    assert (facts.events, facts.acknowledged, facts.dropped) == (12, 12, 1)


def test_folding_works_on_an_object_store() -> None:
    store = Store("memory://folding", "small")
    recorded(store).fold()
    assert len(store.names("imported_batches/2024-03-01/batches")) == 1
    assert content(Ledger(store, "2024-03-01")) == EXPECTED
    assert len(Ledger(store, "2024-03-01").facts()) == 12


def test_a_temporary_disk_without_room_for_the_fold_is_named_and_every_file_stays(tmp_path: Path) -> None:
    ledger = recorded(Store(str(tmp_path), "small"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"/folded.parquet cannot be written: File too large. .* set TMPDIR to"):
            ledger.fold()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert content(Ledger(Store(str(tmp_path), "small"), "2024-03-01")) == EXPECTED
    assert ledger.batches == 12
