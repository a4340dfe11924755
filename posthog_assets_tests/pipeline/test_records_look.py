"""What becomes of some records before a day is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets.destination.preflight import OK, PROBLEM, WARNING
from posthog_assets.pipeline.records_look import look_at_records
from posthog_assets_tests.conftest import small_import


def found(
    tmp_path: Path, lines: list[dict[str, Any]], *, of_a_day: bool = True, **changes: Any
) -> list[tuple[str, str]]:
    """Return level and subject of what is found, and of times and mapping the words."""
    imp = small_import(tmp_path, **({"end_date": "2024-03-02"} | changes))
    findings = look_at_records(imp, lines, False, [], imp.start_date if of_a_day else None)
    return [(one.level, one.words) for one in findings]


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "user": "ann", "at": "2024-03-01T10:00:00Z", "what": "page"} | changes


def test_good_records_are_counted(tmp_path: Path) -> None:
    words = "3 records were read through the dialect columns and the mapping"
    assert found(tmp_path, [line(n) for n in range(3)]) == [(OK, words)]


def test_what_the_mapping_rejects_counts(tmp_path: Path) -> None:
    words = "3 of 3 records are rejected (100.0%); most often: distinct_id is empty"
    assert found(tmp_path, [line(n, user=None) for n in range(3)]) == [(PROBLEM, words)]


def test_what_the_mapping_leaves_out_does_not_count(tmp_path: Path) -> None:
    lines = [line(1), line(2, what="heartbeat")]
    assert [level for level, _ in found(tmp_path, lines, mapping={"events": {"heartbeat": None}})] == [OK]


def test_times_far_from_the_day_are_a_warning(tmp_path: Path) -> None:
    (_, (level, words)) = found(tmp_path, [line(n, at="2024-01-03") for n in range(3)])
    assert (level, words.split(". ")[0]) == (WARNING, "2024-03-01: all of its events are of 2024-01-03")


def test_records_of_no_day_of_the_import_are_a_warning(tmp_path: Path) -> None:
    (_, (level, words)) = found(tmp_path, [line(n, at="2024-01-03") for n in range(3)], of_a_day=False)
    assert level == WARNING
    assert "are of 2024-01-03 to 2024-01-03, outside 2024-03-01 to 2024-03-02; correct start_date and end_date" in words


def test_a_step_that_cannot_begin_is_a_problem(tmp_path: Path) -> None:
    steps = {"steps": [{"step": "geoip", "database": str(tmp_path / "none.mmdb")}]}
    ((level, words),) = found(tmp_path, [line(1)], mapping=steps)
    assert level == PROBLEM
    assert "none.mmdb" in words


def test_many_events_of_one_person_are_a_warning(tmp_path: Path) -> None:
    (_, (level, words)) = found(tmp_path, [line(n) for n in range(30)])
    assert (level, words) == (WARNING, "all 30 events that were looked at are of one person: see dialect.user_id")
    assert len(found(tmp_path, [line(n, user=f"u{n % 2}") for n in range(30)])) == 1


def test_an_event_of_the_mapping_that_is_spelled_wrong_is_a_warning(tmp_path: Path) -> None:
    (_, (level, words)) = found(tmp_path, [line(1)], mapping={"events": {"pgae": "view", "purchase": "buy"}})
    assert (level, words) == (
        WARNING,
        "mapping.events names the event pgae, which no record that was looked at has; did you mean page?",
    )


@pytest.mark.parametrize(
    "mapping",
    [
        {"sessions": "auto"},
        {"sessions": {"idle_minutes": 30}},
        {"first_time": ["page"], "since_previous": ["page"]},
        {"first_events": {"page": "first page"}},
        {"repeats": "collapse"},
        {"person_properties": "set", "identify": False},
        {"groups": {"company": None}},
        {
            "steps": [
                {"step": "hash", "key": "k" * 20, "names": ["x"], "ids": True},
                {"step": "sample", "fraction": 0.9},
            ]
        },
    ],
)
def test_whatever_the_mapping_asks_for_records_are_looked_at(mapping: dict[str, Any], tmp_path: Path) -> None:
    lines = [line(n, user=f"u{n}", **{"$session_id": "s"}) for n in range(3)]
    assert found(tmp_path, lines, mapping=mapping)[0][0] == OK
