"""Imports that come of another one: what they share with it and what differs."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.retention import PRUNABLE
from posthog_assets.pipeline.derived_imports import people_import, trial_import
from posthog_assets_tests.conftest import small_import

STEP = {"step": "drop", "names": ["secret"]}


def with_people(tmp_path: Path, **people: Any) -> Import:
    section = {
        "source": {"type": "files", "path": str(tmp_path / "users.jsonl")},
        "dialect": {"type": "columns", "user_id": {"column": "id"}},
    }
    mapping = {
        "events": {"page": "$pageview"}, "steps": [STEP], "person_properties": "set", "transform": "my_hooks:clean",
        "markers": {"import_name": "imported_by"},
    }  # fmt: skip
    return small_import(tmp_path, people=section | people, mapping=mapping, until="2024-03-05T00:00:00Z")


def test_what_concerns_events_does_not_apply_to_profiles(tmp_path: Path) -> None:
    people = people_import(with_people(tmp_path))
    assert (people.mapping.events, people.mapping.steps, people.mapping.transform) == ({}, [], None)
    assert (people.since, people.until, people.people) == (None, None, None)


def test_profiles_share_the_name_the_markers_and_the_policy_of_person_properties(tmp_path: Path) -> None:
    people = people_import(with_people(tmp_path))
    assert (people.name, people.storage_url) == ("small", str(tmp_path / "data"))
    assert people.mapping.markers.import_name == "imported_by"
    assert people.mapping.person_properties.default == "set"


def test_profiles_may_have_a_policy_of_their_own(tmp_path: Path) -> None:
    people = people_import(with_people(tmp_path, person_properties="set_once"))
    assert people.mapping.person_properties.default == "set_once"


def test_profiles_are_of_the_first_day_unless_the_import_file_says_another(tmp_path: Path) -> None:
    own = {"type": "columns", "user_id": {"column": "id"}, "as_of": "2023-01-01"}
    found: list[Any] = [people_import(with_people(tmp_path, **more)).dialect for more in ({}, {"dialect": own})]
    assert [dialect.as_of for dialect in found] == [date(2024, 3, 1), date(2023, 1, 1)]


def test_changed_profiles_are_sent_again_and_the_import_itself_is_untouched(tmp_path: Path) -> None:
    imp = with_people(tmp_path)
    before = imp.model_dump_json()
    assert people_import(imp).destination.resend_persons
    assert imp.model_dump_json() == before


def with_trial(tmp_path: Path) -> Import:
    destination = {"host": "http://127.0.0.1:1", "project_api_key": "phc_test"}
    return small_import(
        tmp_path, trial={"persons": 0.1, "seed": "s", "destination": destination}, mapping={"steps": [STEP]},
        retention=dict.fromkeys(PRUNABLE, 7),
    )  # fmt: skip


def test_a_trial_takes_a_sample_of_persons_before_every_other_step(tmp_path: Path) -> None:
    steps: list[Any] = trial_import(with_trial(tmp_path)).mapping.steps
    assert [step.step for step in steps] == ["sample", "drop"]
    assert (steps[0].fraction, steps[0].seed) == (0.1, "s")


def test_a_trial_has_a_name_and_a_project_of_its_own_and_the_raw_export_of_the_import(tmp_path: Path) -> None:
    trial = trial_import(with_trial(tmp_path))
    assert (trial.name, trial.raw_owner, trial.trial) == ("small_trial", "small", None)
    assert trial.destination.host == "http://127.0.0.1:1"


def test_a_trial_keeps_the_raw_export_that_is_not_its_own(tmp_path: Path) -> None:
    retention = trial_import(with_trial(tmp_path)).retention
    assert (retention.raw_export, retention.staged_events, retention.posthog_events) == ("keep", 7, 7)
