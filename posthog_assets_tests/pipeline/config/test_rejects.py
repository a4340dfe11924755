"""How many records of a day may be rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.config.rejects import Lost, Rejects, Verdict
from posthog_assets_tests.conftest import small_import


@pytest.mark.parametrize(
    ("records", "lost", "verdict"),
    [
        (0, 0, Verdict.FINE),
        (1000, 10, Verdict.FINE),
        (1000, 11, Verdict.WARN),
        (1000, 500, Verdict.WARN),
        (1000, 501, Verdict.FAIL),
        (1, 1, Verdict.FAIL),
    ],
)
def test_a_share_above_one_percent_warns_and_above_a_half_fails(records: int, lost: int, verdict: Verdict) -> None:
    assert Rejects.model_validate({}).judge(Lost(records, lost)) is verdict


def test_a_day_without_any_good_record_fails_whatever_is_allowed() -> None:
    allowed = Rejects.model_validate({"warn": 1, "fail": 1})
    assert allowed.judge(Lost(10, 9)) is Verdict.FINE
    assert allowed.judge(Lost(10, 10)) is Verdict.FAIL


def test_what_is_left_out_on_purpose_is_not_lost() -> None:
    lost = Lost.of(
        100,
        {"timestamp cannot be read": 3, "left out, PostHog makes sessions itself": 40},
        {"excluded by mapping.events": 20, "distinct_id is not allowed": 1},
    )
    assert (lost.records, lost.count, lost.reason) == (40, 4, "timestamp cannot be read")
    assert lost.words == "4 of 40 records are rejected (10.0%); most often: timestamp cannot be read"


@pytest.mark.parametrize(
    ("rejects", "words"),
    [
        ({"warn": 0.6}, "rejects: warn (0.6) is above fail (0.5)"),
        ({"fail": 2}, "rejects.fail: must be less than or equal to 1"),
        ({"wran": 0.1}, "rejects.wran: is no field here; did you mean warn?"),
    ],
)
def test_a_wrong_limit_is_explained(rejects: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFileError) as raised:
        small_import(tmp_path, rejects=rejects)
    assert words in str(raised.value)
