"""Annotations, event definitions and cohorts, as PostHog's API keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets.sandbox.project import EntryRefused, ProjectEntries

NOTE = {"content": "History ends", "date_marker": "2024-03-01T00:00:00Z", "scope": "project"}
COHORT = {"name": "imported", "is_static": True, "query": {"kind": "HogQLQuery", "query": "SELECT 1"}}


def entries(folder: Path) -> ProjectEntries:
    return ProjectEntries(folder / "entries.json", lambda query: 3)


def test_entries_outlive_the_process(tmp_path: Path) -> None:
    made = entries(tmp_path).create("annotations", NOTE)
    assert entries(tmp_path).listed("annotations", "history", []) == [made]
    assert entries(tmp_path).listed("annotations", "other", []) == []


def test_a_cohort_has_as_many_persons_as_its_query_finds(tmp_path: Path) -> None:
    assert entries(tmp_path).create("cohorts", COHORT)["count"] == 3


def test_a_definition_keeps_its_id_and_what_is_written_on_it(tmp_path: Path) -> None:
    kept = entries(tmp_path)
    (before,) = kept.listed("event_definitions", "", ["page"])
    kept.change("event_definitions", before["id"], {"description": "A page", "unknown": 1}, ["page"])
    (after,) = entries(tmp_path).listed("event_definitions", "", ["page"])
    assert after == before | {"description": "A page"}


def test_a_deleted_entry_is_listed_no_more_and_an_unknown_one_cannot_change(tmp_path: Path) -> None:
    kept = entries(tmp_path)
    kept.create("cohorts", COHORT)
    assert kept.change("cohorts", "9", {"deleted": True}, []) is None
    kept.change("cohorts", "1", {"deleted": True}, [])
    assert kept.listed("cohorts", "", []) == []


@pytest.mark.parametrize(
    ("what", "given", "attr"),
    [
        ("annotations", NOTE | {"date_marker": "soon"}, "date_marker"),
        ("annotations", NOTE | {"scope": "world"}, "scope"),
        ("annotations", NOTE | {"content": "x" * 8_193}, "content"), ("cohorts", COHORT | {"name": None}, "name"),
        ("cohorts", COHORT | {"is_static": False}, "query"), ("cohorts", COHORT | {"query": None}, "query"),
    ],
)  # fmt: skip
def test_what_posthog_refuses_names_the_field(what: str, given: dict[str, Any], attr: str, tmp_path: Path) -> None:
    with pytest.raises(EntryRefused) as refused:
        entries(tmp_path).create(what, given)
    assert refused.value.attr == attr
