"""Staging without processes of its own: the rows of a part, in order."""

from __future__ import annotations

import io
from typing import Any

import pytest

from posthog_assets.dialects import load_dialect
from posthog_assets.dialects.column_kinds import ColumnKinds
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
