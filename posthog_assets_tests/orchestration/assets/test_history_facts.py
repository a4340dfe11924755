"""The asset of what only all staged days together know."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.orchestration.assets.history_facts import build_history_facts
from posthog_assets.orchestration.build import build_definitions
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.pipeline.test_whole_way import failure, record, write_day

DAY = date(2024, 3, 1)

pytest.importorskip("duckdb", reason="needs the extra posthog_assets[history]")


def test_dagster_materializes_the_asset_without_partitions(tmp_path: Path) -> None:
    write_day(tmp_path, record(1))
    imp = small_import(tmp_path, history_facts=True, owners=["team:growth"])
    export_day(imp, DAY)
    stage_day(imp, DAY)
    definitions = build_definitions(imp)
    key = dg.AssetKey(["small", "history_facts"])
    asset = next(one for one in definitions.assets or () if isinstance(one, dg.AssetsDefinition) and one.key == key)
    assert (asset.partitions_def, asset.get_asset_spec(key).owners) == (None, ["team:growth"])
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance)
    metadata = result.asset_materializations_for_node("small__history_facts")[0].metadata
    assert (metadata["events"].value, metadata["days_that_would_change"].value) == (1, 0)


def test_an_import_that_does_not_ask_has_no_such_asset(tmp_path: Path) -> None:
    keys = build_definitions(small_import(tmp_path)).resolve_asset_graph().get_all_asset_keys()
    assert dg.AssetKey(["small", "history_facts"]) not in keys


def test_what_stops_the_look_is_a_failure_that_dagster_does_not_repeat(tmp_path: Path) -> None:
    asset = build_history_facts(small_import(tmp_path, history_facts=True))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance, raise_on_error=False)
    assert failure(result) == "small/staged_events has no day yet: materialize staged_events first"
