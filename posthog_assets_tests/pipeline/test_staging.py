"""Staging without processes of its own: the rows of a part, in order."""

from __future__ import annotations

import io
from collections import Counter
from functools import partial
from typing import Any

import orjson
import pyarrow as pa
import pytest

from posthog_assets.dialects import load_dialect
from posthog_assets.dialects.column_kinds import ColumnKinds
from posthog_assets.pipeline import staging
from posthog_assets.pipeline.repeated_fields import RepeatedFields
from posthog_assets.pipeline.staging import Stagers, cores
from posthog_assets.sources.formats import Compression, Format, Framing

DIALECT = load_dialect(
    {"type": "columns", "event": {"value": "e"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}}
)
AT = "2024-03-01T10:00:00Z"


def rows(text: str, kind: Format, columns: ColumnKinds | None = None) -> tuple[list[dict[str, Any]], bool]:
    framing = Framing(kind, Compression.NONE)
    with Stagers(DIALECT, 3, most=1, columns=columns) as stagers:
        found = [
            row for batch in stagers.stage(io.BytesIO(text.encode()), framing, "part") for row in batch.to_pylist()
        ]
        assert stagers.processes == []
    return found, stagers.is_outdated


def test_each_line_is_a_row_in_its_place_and_a_bad_one_is_rejected() -> None:
    text = f'{{"u":"a","t":"{AT}"}}\nbroken\n{{"u":"b","t":"{AT}"}}\n'
    found, _ = rows(text, Format.JSONL)
    assert [(row["raw_line"], row["user_id"], row["reject_reason"] is None) for row in found] == [
        (1, "a", True), (2, None, False), (3, "b", True),
    ]  # fmt: skip


def test_a_column_of_csv_that_turns_out_to_be_text_makes_rows_before_it_outdated() -> None:
    lines = [f"u{number},{AT},{number}" for number in range(600)]
    known = ColumnKinds({}, frozenset({""}))
    assert rows("\n".join(["u,t,n", *lines]), Format.CSV, known)[1] is False
    assert known.kinds["n"] == "number"
    assert rows("\n".join(["u,t,n", *lines, f"z,{AT},x"]), Format.CSV, ColumnKinds({}, frozenset({""})))[1] is True


def test_with_one_process_there_is_none_to_start() -> None:
    with Stagers(DIALECT, 10, most=1) as stagers:
        assert stagers.start() == 0


def test_there_is_at_least_one_core_and_no_more_than_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0}, raising=False)
    assert cores() == 1


def batches(dialect: dict[str, Any], records: list[dict[str, Any]], unfold: str | None = None) -> list[pa.RecordBatch]:
    """Return what becomes of *records*, as lines of a part."""
    text = b"".join(orjson.dumps(record) + b"\n" for record in records)
    framing = Framing(Format.JSONL, Compression.NONE, unfold=unfold)
    with Stagers(load_dialect(dialect), len(records), most=1) as stagers:
        return list(stagers.stage(io.BytesIO(text), framing, "part"))


def test_only_so_much_becomes_of_a_record_whose_members_repeat_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "RepeatedFields", partial(RepeatedFields, most=1 << 20))
    dialect = {"type": "columns", "event": {"value": "e"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}}
    records = [{"u": "a", "t": AT, "note": "x" * 300_000, "items": [{}] * 60} for _ in range(2)]
    found = [row for batch in batches(dialect, records, "items") for row in batch.to_pylist()]
    counts = Counter((row["raw_line"], (row["reject_reason"] or "good").split(" are longer")[0]) for row in found)
    assert sum(counts.values()) == 120
    too_much = "the rows of a record's items"
    assert set(counts) == {(line, words) for line in (1, 2) for words in ("good", too_much)}


def test_the_events_of_long_records_come_in_batches_that_fit_into_memory() -> None:
    events = [{"event": {"value": f"e{number}"}, "timestamp": {"column": "t"}} for number in range(10)]
    records = [{"u": "a", "t": AT, "note": "x" * 600_000} for _ in range(4)]
    found = batches({"type": "columns", "user_id": {"column": "u"}, "events": events}, records)
    assert [batch.num_rows for batch in found] == [10, 10, 10, 10]
    assert max(batch.nbytes for batch in found) < 16 << 20
