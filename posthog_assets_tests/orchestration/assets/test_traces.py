"""The asset of what the import leaves in PostHog beside its events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posthog_assets.orchestration.build import build_definitions
from posthog_assets_tests.conftest import small_import


def test_the_asset_is_there_only_where_traces_are_wanted(tmp_path: Path) -> None:
    def assets(**traces: Any) -> set[str]:
        definitions = build_definitions(small_import(tmp_path, traces=traces))
        return {key.path[-1] for key in definitions.resolve_asset_graph().get_all_asset_keys()}

    assert "traces" not in assets()
    assert "traces" in assets(cohort=True)
