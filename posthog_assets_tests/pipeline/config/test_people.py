"""The section `people` of the import file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.core.errors import ImportFileError
from posthog_assets.dialects.people import Profiles
from posthog_assets.pipeline.config.people import People
from posthog_assets.sources.people import PeopleFiles
from posthog_assets_tests.pipeline.test_people import importing


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"source": {"type": "files", "path": "users-{day}.csv"}}, "people have no days"),
        ({"dialect": {"type": "columns", "user_id": {"column": "id"}, "event": {"value": "x"}}}, "a profile has none"),
        ({"source": {"type": "files", "path": "users.csv", "available_after_hours": 1}}, "people have no days"),
        ({"dialect": {"type": "columns"}}, "people.dialect.user_id"),
        ({"source": {"type": "amplitude"}}, "allowed: files"),
        ({"source": {"type": "sql", "url": "sqlite://"}}, "needs either table or query"),
        (
            {"source": {"type": "sql", "url": "sqlite://", "table": "users", "day_column": "at", "late_days": 1}},
            "people have no days: there is no day_column, late_days",
        ),
    ],
)
def test_a_wrong_section_is_explained(section: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=words):
        importing(tmp_path, "http://127.0.0.1:9", **section)


def test_profiles_have_sources_and_dialects_of_their_own_and_no_day_of_a_file() -> None:
    people = People.model_validate(
        {
            "source": {"type": "files", "path": "users.csv"},
            "dialect": {"type": "columns", "user_id": {"column": "id"}},
        }
    )
    assert (type(people.source), type(people.dialect), people.person_properties) == (PeopleFiles, Profiles, None)


def test_a_dialect_that_reads_no_profiles_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValidationError, match="allowed: columns, mixpanel"):
        People.model_validate({"source": {"type": "files", "path": "users.csv"}, "dialect": {"type": "amplitude"}})
