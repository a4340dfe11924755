"""The names of the properties that trace an event: HogQL reads each without quotes, and no two are the same."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from posthog_assets.core.markers import MARKERS, Markers


def test_the_names_are_those_that_released_imports_carry() -> None:
    assert MARKERS == (
        "$geoip_disable",
        "historical_migration",
        "analytics_source",
        "$import_job_id",
        "$import_day",
        "$import_source_id",
        "$import_mapping",
    )
    assert Markers().names == MARKERS


def test_an_import_file_may_choose_others_and_leave_the_mapping_out() -> None:
    markers = Markers.model_validate({"import": "_job", "day": "d", "mapping": None})
    assert markers.names == (
        "$geoip_disable", "historical_migration", "analytics_source", "_job", "d", "$import_source_id",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["a", "$a", "_", "a" * 100, "a1$_"])
def test_a_name_may_have_up_to_100_letters_digits_and_underscores(name: str) -> None:
    assert Markers(day=name).day == name


@pytest.mark.parametrize("name", ["", "1a", "a b", "a.b", "a'b", "a`", "a" * 101, "a\n"])
def test_any_other_name_would_break_the_queries_and_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="must be letters, digits, _ and"):
        Markers(day=name)


@pytest.mark.parametrize("name", ["$import_job_id", "historical_migration", "$geoip_disable"])
def test_two_markers_never_share_a_name(name: str) -> None:
    with pytest.raises(ValidationError, match="each marker needs a name of its own"):
        Markers(day=name)
