"""A wrong field is explained: where, what was probably meant, what is allowed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.sections import Section
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.records.shop import package_of

GOOD: dict[str, Any] = {
    "name": "a",
    "start_date": "2024-01-01",
    "source": {"type": "files", "path": "{day}.jsonl"},
    "dialect": {"type": "columns", "event": {"column": "e"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}},
}


def problems(section: str, **changes: Any) -> list[str]:
    given = copy.deepcopy(GOOD)
    given[section] = given.get(section, {}) | changes
    with pytest.raises(ImportFileError) as raised:
        Import.read(given)
    return [line.removeprefix("  - ") for line in str(raised.value).splitlines()[1:]]


@pytest.mark.parametrize(
    ("section", "changes", "expected"),
    [
        ("dialect", {"event": {"colum": "x"}},
         "dialect.event.colum: is no field here; did you mean column? Allowed: value, column"),
        ("dialect", {"event": "x"}, "dialect.event: must be a section, {value | column: …} (found x)"),
        ("dialect", {"event": {"column": 5}}, "dialect.event.column: must be a valid string (found 5)"),
        ("dialect", {"timestamp": {"column": "t", "timezon": "UTC"}},
         "dialect.timestamp.timezon: is no field here; did you mean timezone? Allowed: column, timezone, format, unit"),
        ("dialect", {"timestamp": {"unit": "s"}}, "dialect.timestamp.column: is required and missing"),
        ("source", {"format": "jsnol"},
         "source.format: must be 'jsonl', 'json', 'csv', 'parquet' or 'avro'; did you mean jsonl? (found jsnol)"),
        ("retention", {"raw_export": "kep"},
         "retention.raw_export: must be 'keep' or must be a valid integer, unable to parse string as an integer; "
         "did you mean keep? (found kep)"),
        ("mapping", {"steps": [{"step": "drop", "name": ["a"]}]},
         "mapping.steps.0.name: is no field here; did you mean names? Allowed: step, events, scope, names"),
        ("automation", {"new_data": {"evry_seconds": 5}},
         "automation.new_data.evry_seconds: is no field here; did you mean every_seconds? "
         "Allowed: enabled, every_seconds, days_at_once, settle_seconds"),
        ("destination", {"project_api_key": 5}, "destination.project_api_key: must be a valid string"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_without_pydantics_types(section: str, changes: dict[str, Any], expected: str) -> None:
    assert expected in problems(section, **changes)


def test_a_misspelt_name_is_not_also_reported_as_missing() -> None:
    assert len(problems("dialect", event={"colum": "x"})) == 1


def test_a_name_that_resembles_nothing_is_only_refused() -> None:
    (problem,) = problems("retention", zzz=1)
    assert problem == "retention.zzz: is no field here. Allowed: raw_export, staged_events, posthog_events"


def write(project: Path, attributes: dict[str, Any]) -> Path:
    path = project / package_of(project) / "defs/shop/defs.yaml"
    path.write_text(yaml.safe_dump({"type": "posthog_assets.HistoricalImport", "attributes": attributes}))
    return path


def test_the_file_and_the_line_are_named(project: Path) -> None:
    path = write(project, GOOD | {"dialect": GOOD["dialect"] | {"user_i": {"column": "u"}}})
    line = path.read_text().splitlines().index("    user_i:") + 1
    with pytest.raises(ImportFileError) as raised:
        find_import("shop", project)
    assert f"dialect.user_i (line {line}): is no field here; did you mean user_id?" in str(raised.value)
    assert "shop/defs.yaml is wrong" in str(raised.value)


def test_a_misspelt_section_is_explained_too(project: Path) -> None:
    write(project, GOOD | {"maping": {}})
    with pytest.raises(ImportFileError, match=r"maping \(line \d+\): is no field here; did you mean mapping\?"):
        find_import("shop", project)


def sections(base: type[Section] = Section) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


def test_every_field_of_the_import_file_has_a_description() -> None:
    assert Import in set(sections())
    without = [
        f"{section.__name__}.{name}"
        for section in sections()
        if section.__module__.startswith("posthog_assets.")
        for name, field in section.model_fields.items()
        # A field that can only be empty is closed in a subclass.
        if name not in ("type", "step") and field.annotation is not type(None) and not field.description
    ]
    assert without == []
