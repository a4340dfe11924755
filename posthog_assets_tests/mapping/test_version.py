"""The version of a mapping: what changes it, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.dialects import load_dialect
from posthog_assets.mapping import Mapping
from posthog_assets.mapping.version import mapping_version

COLUMNS = {"type": "columns", "event": {"value": "x"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}}


def version(dialect: dict[str, Any] = COLUMNS, **mapping: Any) -> str:
    return mapping_version(Mapping.model_validate(mapping), load_dialect(dialect), "shop")


def test_a_setting_that_has_its_default_does_not_count() -> None:
    assert version() == version(identify=True, steps=[], person_properties="set_once")
    assert version() == version(COLUMNS | {"edition": 1, "types": "infer"})


@pytest.mark.parametrize(
    "mapping",
    [
        {"identify": False},
        {"events": {"a": None}},
        {"properties": {"drop": ["a"]}},
        {"person_properties": {"default": "set_once", "set": ["a"]}},
        {"steps": [{"step": "user_agent"}]},
        {"steps": [{"step": "geoip", "database": "cities.mmdb"}]},
    ],
)
def test_a_setting_that_is_chosen_counts(mapping: dict[str, Any]) -> None:
    assert version(**mapping) != version()


def test_steps_count_by_which_they_are_and_in_which_order() -> None:
    first, second = {"step": "user_agent"}, {"step": "url"}
    versions = {version(steps=[first]), version(steps=[second]), version(steps=[first, second])}
    assert len(versions | {version(steps=[second, first])}) == 4


def test_another_dialect_edition_or_import_is_another_version() -> None:
    versions = [
        version({"type": "segment"}),
        version({"type": "amplitude"}),
        version({"type": "amplitude", "edition": 2}),
        mapping_version(Mapping.model_validate({}), load_dialect(COLUMNS), "another"),
        version(),
    ]
    assert len(set(versions)) == 5
