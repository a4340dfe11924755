"""The preview as a job of Dagster."""

from __future__ import annotations

from pathlib import Path

from posthog_assets.orchestration.build import build_definitions
from posthog_assets_tests.records.shop import write_import


def test_the_job_of_the_ui_shows_the_same(project: Path) -> None:
    imp = write_import(project, "http://127.0.0.1:9")
    job = build_definitions(imp).resolve_job_def("preview_shop")
    result = job.execute_in_process(
        partition_key="2024-03-01", run_config={"ops": {"preview_shop_day": {"config": {"events": 2}}}}
    )
    text = result.output_for_node("preview_shop_day")
    assert "5 raw records become 4 rows" in text
    assert text.count("```diff") == 2
    assert not (Path(imp.store.root.path) / "posthog_events").exists()
