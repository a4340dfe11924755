"""Some persons only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets.mapping.steps import Rejected
from posthog_assets_tests.mapping.steps.applying import after, event
from posthog_assets_tests.mapping.test_kinds import Grouped
from posthog_assets_tests.mapping.test_mapping import map_rows, row

HALF = {"step": "sample", "fraction": 0.5}
KEPT = ["bob", "cid", "dan", "eve", "fay", "hal"]


def keeps(distinct_id: str, step: dict[str, Any] = HALF) -> bool:
    try:
        after(step, event({}, distinct_id=distinct_id))
    except Rejected as reason:
        assert str(reason) == "sampled out"
        return False
    return True


def test_who_is_kept_depends_on_the_id_alone() -> None:
    # Spelled out on purpose: another hash would keep other persons from then on.
    assert [name for name in ("ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal") if keeps(name)] == KEPT


def test_a_greater_fraction_keeps_all_of_a_smaller_one() -> None:
    names = [f"user-{number}" for number in range(4_000)]
    tenth = {name for name in names if keeps(name, {"step": "sample", "fraction": 0.1})}
    half = {name for name in names if keeps(name)}
    assert tenth < half
    assert 330 < len(tenth) < 470
    assert 1_900 < len(half) < 2_100
    assert half != {name for name in names if keeps(name, HALF | {"seed": "other"})}


def test_the_ids_of_a_pair_are_kept_or_left_out_together(tmp_path: Path) -> None:
    rows = []
    for number in range(60):
        rows.append(row(3 * number, user_id=None, anonymous_id=f"dev-{number}"))
        rows.append(row(3 * number + 1, user_id=f"user-{number}", anonymous_id=f"dev-{number}"))
        rows.append(row(3 * number + 2, user_id=f"user-{number}"))
    events, report = map_rows(rows, tmp_path, steps=[HALF], chunk=50)
    kept = {one["distinct_id"] for one in events if not one["reject_reason"]}
    assert 20 <= len(kept) // 2 <= 40
    for number in range(60):
        assert (f"dev-{number}" in kept) == (f"user-{number}" in kept) == keeps(f"user-{number}")
    assert report.reject_reasons == {"sampled out": 4 * (60 - len(kept) // 2)}
    assert report.rows == report.staged + report.derived == 240


def test_a_device_of_two_is_kept_with_one_of_them_and_an_alias_follows_its_user(tmp_path: Path) -> None:
    yes, no = KEPT[0], "ann"
    rows = [
        row(1, user_id=None, anonymous_id="dev"),
        row(2, user_id=no, anonymous_id="dev"),
        row(3, user_id=yes, anonymous_id="dev"),
        row(4, user_id=None, anonymous_id="older"),
        row(5, kind="alias", event="alias", user_id=no, anonymous_id="old"),
        row(6, kind="alias", event="alias", user_id="old", anonymous_id="older"),
    ]
    events, _ = map_rows(rows, tmp_path, steps=[HALF], identify=False)
    assert [one["source_id"] for one in events if not one["reject_reason"]] == ["1", "3"]


def test_groups_are_described_whoever_is_left_out(tmp_path: Path) -> None:
    rows = [row(number, user_id=f"user-{number}", group_set='{"company":{"5":{"plan":"pro"}}}') for number in range(9)]
    step = {"step": "sample", "fraction": 0.0001}
    events, report = map_rows(rows, tmp_path, steps=[step], dialect=Grouped())
    assert [one["distinct_id"] for one in events if not one["reject_reason"]] == ["$company_5"]
    assert report.reject_reasons == {"sampled out": 9}


@pytest.mark.parametrize("fraction", [0, 1, -1, 2])
def test_none_and_all_are_no_sample(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        after({"step": "sample", "fraction": fraction}, event({}))
