"""The check that the source counts the same, and its job."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.history import job_name
from posthog_assets_tests.pipeline.test_source_counts import counted


def test_the_check_is_evaluated_by_a_job_of_its_own(tmp_path: Path) -> None:
    imp = counted(tmp_path, "day,event,count\n2024-03-01,page,40\n")
    definitions = build_definitions(imp)
    whole = definitions.get_repository_def()
    names = {key.name for key in whole.get_job(job_name("small")).asset_layer.asset_graph.asset_check_keys}
    assert "matches_the_source" not in names
    with dg.DagsterInstance.ephemeral() as instance:
        result = whole.get_job("compare_small").execute_in_process(instance=instance)
        (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.check_name, evaluation.passed) == ("matches_the_source", False)
    assert evaluation.description is not None
    assert "Page of 2024-03-01: 36 fewer than the source counts" in evaluation.description
