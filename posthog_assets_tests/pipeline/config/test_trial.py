"""The section `trial` of the import file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.config.trial import Trial
from posthog_assets_tests.records.shop import write_import


def test_a_trial_into_the_project_itself_is_refused(project: Path) -> None:
    destination = {"host": "http://127.0.0.1:9", "project_api_key": "phc_any"}
    with pytest.raises(ImportFileError, match="a trial needs a test project"):
        write_import(project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination})


@pytest.mark.parametrize("persons", [0, 1, -0.5, 1.5, float("nan"), "half"])
def test_a_sample_is_more_than_nobody_and_less_than_all(persons: object) -> None:
    with pytest.raises(ValidationError, match="persons"):
        Trial.model_validate({"persons": persons, "destination": {}})


def test_a_trial_names_its_project_and_chooses_persons_by_an_empty_seed() -> None:
    with pytest.raises(ValidationError, match="destination"):
        Trial.model_validate({"persons": 0.5})
    assert Trial.model_validate({"persons": "0.25", "destination": {}}).model_dump(exclude={"destination"}) == {
        "persons": 0.25, "seed": "",
    }  # fmt: skip


def test_the_same_key_of_another_host_is_another_project(project: Path) -> None:
    destination = {"host": "http://127.0.0.1:10", "project_api_key": "phc_any"}
    imp = write_import(project, "http://127.0.0.1:9", trial={"persons": 0.5, "destination": destination})
    assert imp.trial is not None
    assert imp.trial.destination.host == "http://127.0.0.1:10"
