"""The asset of the source's users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from posthog_assets.destination.landing import LandedReport
from posthog_assets.orchestration.assets.person_profiles import _landed, build_person_profiles
from posthog_assets.orchestration.build import build_definitions
from posthog_assets_tests.pipeline.test_people import importing, materialize
from posthog_assets_tests.pipeline.test_whole_way import checks


def test_profiles_are_looked_for_where_there_is_a_key(tmp_path: Path, shared_sandbox: Any) -> None:
    imp = importing(tmp_path, shared_sandbox.url)
    looking = {"personal_api_key": SecretStr("phx_any"), "project_id": "1", "landing_seconds": 5.0}
    imp = imp.model_copy(update={"destination": imp.destination.model_copy(update=looking), "name": "people_landing"})
    assert checks(materialize(imp)) == {"no_profile_lost": True, "every_profile_has_landed": True}


def test_profiles_are_an_asset_beside_the_days(tmp_path: Path) -> None:
    definitions = build_definitions(importing(tmp_path, "http://127.0.0.1:9"))
    graph = definitions.resolve_asset_graph()
    profiles = graph.get(dg.AssetKey(["small", "person_profiles"]))
    assert (profiles.partitions_def, profiles.parent_keys) == (None, {dg.AssetKey(["small", "imported_batches"])})
    assert (
        dg.AssetKey(["small", "person_profiles"])
        not in definitions.resolve_job_def("import_small").asset_layer.executable_asset_keys
    )


def test_the_people_who_answer_for_the_import_answer_for_its_profiles(tmp_path: Path) -> None:
    imp = importing(tmp_path, "http://127.0.0.1:9").model_copy(update={"owners": ["team:growth"]})
    (spec,) = build_person_profiles(imp).specs
    assert spec.owners == ["team:growth"]


@pytest.mark.parametrize(
    ("landed", "passed", "words"),
    [
        (5, True, None),
        (4, False, "1 profile is owed again: materialize this again to send it"),
        (3, False, "2 profiles are owed again: materialize this again to send them"),
    ],
)
def test_profiles_that_did_not_land_are_counted(landed: int, passed: bool, words: str | None) -> None:
    check = _landed(LandedReport({"$set": (5, landed)}))
    assert (check.passed, check.severity, check.description) == (passed, dg.AssetCheckSeverity.ERROR, words)


def test_without_a_key_the_check_is_a_warning() -> None:
    check = _landed(None)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
