"""Which assets, jobs and schedules an import has."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from posthog_assets.orchestration.build import build_definitions
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.derived_imports import trial_import
from posthog_assets_tests.records.shop import write_import


def test_a_trial_is_found_by_name_and_hangs_on_the_same_raw_export(project: Path) -> None:
    destination = {"host": "http://127.0.0.1:9", "project_api_key": "phc_test"}
    write_import(project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination})
    trial = find_import("shop_trial", project)
    graph = build_definitions(trial).resolve_asset_graph()
    staged = graph.get(dg.AssetKey(["shop_trial", "staged_events"]))
    assert staged.parent_keys == {dg.AssetKey(["shop", "raw_export"])}
    assert dg.AssetKey(["shop_trial", "raw_export"]) not in graph.materializable_asset_keys


def test_a_trial_that_asks_for_first_times_has_facts_of_its_own(project: Path) -> None:
    destination = {"host": "http://127.0.0.1:9", "project_api_key": "phc_test"}
    imp = write_import(
        project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination},
        mapping={"first_time": ["page"]},
    )  # fmt: skip
    keys = {
        name: build_definitions(of).resolve_asset_graph().get(dg.AssetKey([name, "history_facts"])).parent_keys
        for name, of in (("shop", imp), ("shop_trial", trial_import(imp)))
    }
    assert keys == {name: {dg.AssetKey([name, "staged_events"])} for name in ("shop", "shop_trial")}
