"""The look into PostHog as an asset: green, red, or a check that says that nothing was looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.pipeline.test_whole_way import (
    checks,
    destination,
    failure,
    materialize,
    metadata,
    record,
    write_day,
)


def test_an_event_that_did_not_land_turns_the_day_red_and_is_sent_again_alone(tmp_path: Path) -> None:
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")
    from posthog_assets.sandbox import Sandbox

    write_day(tmp_path, *[record(n) for n in range(5)])
    # Like the real PostHog, the sandbox answers 200 to a well-formed key that belongs to no project.
    with Sandbox(project_key="phc_right") as sandbox:
        wrong = small_import(
            tmp_path, name="lost", destination=destination(sandbox, project_api_key="phc_wrong", landing_seconds=0)
        )
        result = materialize(wrong, "2024-03-01")
        assert not result.success
        assert "5 of 5 acknowledged events of 2024-03-01 were not found in PostHog" in failure(result)
        right = small_import(tmp_path, name="lost", destination=destination(sandbox, project_api_key="phc_right"))
        again = materialize(right, "2024-03-01", "imported_batches", "landed_events")
        assert again.success
        assert (metadata(again, "imported_batches")["sent"], metadata(again, "landed_events")["landed"]) == (5, 5)


def test_without_a_personal_key_nobody_looked_and_the_check_says_so(tmp_path: Path, shared_sandbox: Any) -> None:
    write_day(tmp_path, record(1))
    imp = small_import(tmp_path, name="blind", destination=destination(shared_sandbox, personal_api_key=None))
    result = materialize(imp, "2024-03-01")
    assert result.success
    assert checks(result)["everything_acknowledged_has_landed"] is False
