"""What Dagster shows of a day of which records are rejected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.pipeline.test_whole_way import STEPS, materialize


def checks_of(tmp_path: Path, lines: list[dict[str, Any]], **changes: Any) -> dict[str, dg.AssetCheckEvaluation]:
    """Materialize a day of *lines* up to its events, and return the evaluations of its checks by name."""
    imp = small_import(tmp_path, **changes)
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports/2024-03-01.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = materialize(imp, "2024-03-01", *STEPS[:3])
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "user": "ann", "at": "2024-03-01T10:00:00Z", "what": "page"} | changes


@pytest.mark.parametrize(
    ("bad", "passed", "severity"),
    [(0, True, "WARN"), (2, False, "WARN"), (7, False, "ERROR"), (10, False, "ERROR")],
)
def test_a_day_of_many_rejected_records_is_not_green(bad: int, passed: bool, severity: str, tmp_path: Path) -> None:
    lines = [line(n, **({"at": "never"} if n < bad else {})) for n in range(10)]
    check = checks_of(tmp_path, lines)["few_records_are_rejected"]
    assert (check.passed, check.severity.name) == (passed, severity)
    if bad:
        assert f"{bad} of 10 records are rejected" in (check.description or "")
        assert "timestamp cannot be read" in (check.description or "")


def test_events_that_the_mapping_leaves_out_do_not_count(tmp_path: Path) -> None:
    lines = [line(n, what="heartbeat" if n else "page") for n in range(10)]
    check = checks_of(tmp_path, lines, mapping={"events": {"heartbeat": None}})["few_records_are_rejected"]
    assert check.passed


def test_a_day_whose_events_are_all_of_other_days_has_a_warning(tmp_path: Path) -> None:
    swapped = {"type": "columns", "event": {"column": "what"}, "user_id": {"column": "user"},
               "timestamp": {"column": "at", "format": "%d/%m/%Y"}}  # fmt: skip
    check = checks_of(tmp_path, [line(n, at="03/01/2024") for n in range(3)], dialect=swapped)[
        "events_are_near_their_day"
    ]
    assert (check.passed, check.severity.name) == (False, "WARN")
    assert "2024-03-01: all of its events are of 2024-01-03" in (check.description or "")


def test_a_day_without_a_user_in_the_column_that_is_named_has_a_warning(tmp_path: Path) -> None:
    dialect = {"type": "columns", "event": {"column": "what"}, "user_id": {"column": "usr"},
               "anonymous_id": {"column": "user"}, "timestamp": {"column": "at"}}  # fmt: skip
    check = checks_of(tmp_path, [line(n) for n in range(20)], dialect=dialect)["some_record_has_a_user"]
    assert (check.passed, check.severity.name) == (False, "WARN")
    assert check.description == (
        "2024-03-01: no record has a user in usr (dialect.user_id), so all events are of anonymous persons"
    )


def test_a_day_with_one_user_has_none(tmp_path: Path) -> None:
    dialect = {"type": "columns", "event": {"column": "what"}, "user_id": {"column": "usr"},
               "anonymous_id": {"column": "user"}, "timestamp": {"column": "at"}}  # fmt: skip
    lines = [line(n, **({"usr": "bob"} if n == 7 else {})) for n in range(20)]
    assert checks_of(tmp_path, lines, dialect=dialect)["some_record_has_a_user"].passed
