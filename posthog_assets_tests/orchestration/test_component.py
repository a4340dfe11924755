"""The import file as Dagster and editors see it: every field loads, and its JSON schema knows them all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, TypeAdapter

from posthog_assets.core.errors import ImportFileError
from posthog_assets.dialects import DIALECTS
from posthog_assets.mapping.steps import STEPS
from posthog_assets.orchestration.component import HistoricalImportModel
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.sources import SOURCES
from posthog_assets_tests.records.shop import package_of

#: Every field of the import file; those of each source, dialect and step have tests of their own.
EVERY_FIELD = """
name: shop
start_date: 2024-03-01
end_date: null
since: "2024-03-01T00:00:00+01:00"
until: "2024-03-09T12:00:00Z"
history_facts: true
rejects: {warn: 0.02, fail: 0.4}
storage: "{{ env.SHOP_STORAGE }}"
storage_options: {}
owners: ["team:growth"]
first_rows: false
processes: 3
source: {type: files, path: "exports/{day}.csv"}
dialect: {type: columns, event: {value: bought}, user_id: {column: customer}, timestamp: {column: at}}
mapping:
  events: {bought: purchase, heartbeat: null}
  steps: [{step: drop, names: [note]}, {step: my_package.steps.Shout, sign: "!"}]
  properties: {rename: {city: $geoip_city_name}, drop: [note], keep: null, add: {origin: shop}}
  person_properties: {default: set_once, set: [plan], set_once: [source], none: [password]}
  identify: false
  shared_devices: skip
  anonymous_events: personless
  identity_map: {path: ids.csv, old: before, new: after, storage_options: {}}
  repeats: collapse
  markers: {source: from, import: import_name, day: import_day, source_id: record, mapping: null}
  transform: my_package.hooks:clean
  first_time: [bought]
  since_previous: [bought]
  sessions: {mode: auto, idle_minutes: 45, property: visit}
  groups: {Company: company, tmp: null}
  first_events: {bought: first purchase}
people:
  source: {type: files, path: people.csv}
  dialect: {type: columns, user_id: {column: customer}}
  person_properties: set
destination:
  host: "{{ env.SHOP_HOST }}"
  project_api_key: "{{ env.SHOP_KEY }}"
  protocol: batch
  personal_api_key: "{{ env.SHOP_PERSONAL_KEY }}"
  project_id: 42
  batch_events: 1000
  batch_bytes: 2000000
  concurrency: 2
  max_events_per_second: "{{ env.SHOP_RATE }}"
  max_requests_per_second: 3.5
  timeout_seconds: 30
  retry_seconds: 60
  historical_migration: false
  recent_events: hold_back
  allow_duplicates: true
  landing_seconds: 10
  resend_persons: true
  new_group_types: [company]
automation:
  new_data: {enabled: true, every_seconds: 60, days_at_once: 5, settle_seconds: 1}
  retry_failed:
    {enabled: true, every_seconds: 60, attempts: 3, first_delay_minutes: 1, longest_delay_hours: 2, days_at_once: 5}
  daily: {enabled: false, at: "02:30"}
  failed_days: {enabled: true, at: "07:00"}
  prune: {enabled: true, at: "04:00"}
  notify:
    {enabled: true, webhook: "{{ env.SHOP_WEBHOOK }}", every_seconds: 30, ui_url: "https://dagster.example",
     timeout_seconds: 5}
  stale_after_hours: 48
retention: {raw_export: 90, staged_events: 7, posthog_events: keep}
source_counts: {path: counts.csv, storage_options: {}, timezone: UTC, events: [bought], tolerance: 0.02}
traces:
  annotation: true
  cohort: true
  describe: {bought: {description: Paid, tags: [shop], verified: true}, left: Gone}
trial:
  persons: 0.05
  seed: first
  destination: {host: "{{ env.SHOP_HOST }}", project_api_key: phc_trial}
"""

ENVIRONMENT = {
    "SHOP_STORAGE": "elsewhere",
    "SHOP_HOST": "https://eu.i.posthog.com",
    "SHOP_KEY": "phc_shop",
    "SHOP_PERSONAL_KEY": "phx_shop",
    "SHOP_RATE": "250",
    "SHOP_WEBHOOK": "https://hooks.example/1",
}


def attributes() -> dict[str, Any]:
    """Return `EVERY_FIELD` as Dagster reads it: a date in YAML stays text."""
    loaded: dict[str, Any] = yaml.safe_load(EVERY_FIELD)
    return loaded | {"start_date": "2024-03-01"}


def write(project: Path, text: str) -> None:
    """Write `defs.yaml` of the import shop, and the user's own step and function that it names."""
    package = project / package_of(project)
    text = text.replace("my_package", package.name)
    body = "\n".join(f"  {line}" for line in text.strip().splitlines())
    (package / "defs/shop/defs.yaml").write_text(f"type: posthog_assets.HistoricalImport\nattributes:\n{body}\n")
    (package / "hooks.py").write_text("def clean(frame):\n    return frame\n")
    (package / "steps.py").write_text(
        "from posthog_assets.mapping.steps import Step\nclass Shout(Step):\n    sign: str = '?'\n"
        "    def apply(self, event):\n        event.name += self.sign\n"
    )


def fields_of(model: type[BaseModel], given: Any, path: str = "") -> Iterator[tuple[str, bool]]:
    """Yield each field of *model* and of the sections below it, with whether *given* has it."""
    if path == "trial.destination":
        return
    for name, field in model.model_fields.items():
        key = field.alias or name
        here = f"{path}.{key}".strip(".")
        yield here, key in given
        section = next((kind for kind in sections_in(field.annotation) if key in given), None)
        below = given.get(key)
        if section and isinstance(below, dict):
            # Of sections under names of the user's own, the first one.
            below = next(iter(below.values())) if get_origin(field.annotation) is dict else below
            yield from fields_of(section, below, here)


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    kinds = [annotation, *getattr(annotation, "__args__", ())]
    chosen = [*SOURCES.values(), *DIALECTS.values(), *STEPS.values()]
    for kind in kinds:
        is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
        if is_section and not any(issubclass(other, kind) for other in chosen):
            yield kind


def test_the_example_of_this_test_names_every_field() -> None:
    found = dict(fields_of(Import, attributes()))
    assert [path for path, is_given in found.items() if not is_given] == []
    assert len(found) > 60


def test_every_field_loads_in_a_defs_yaml(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    write(project, EVERY_FIELD)
    imp = find_import("shop", project)
    assert (imp.processes, imp.first_rows, imp.storage) == (3, False, "elsewhere")
    assert imp.destination.max_events_per_second == 250
    assert imp.destination.write_key() == "phc_shop"
    assert imp.automation.notify.url == "https://hooks.example/1"
    assert imp.mapping.markers.import_name == "import_name"
    assert imp.trial and imp.trial.destination.write_key() == "phc_trial"
    assert imp.people and imp.people.person_properties and imp.people.person_properties.default == "set"


def test_an_unknown_field_is_refused_with_its_name(project: Path) -> None:
    write(project, EVERY_FIELD.replace("first_rows:", "first_row:"))
    with pytest.raises(ImportFileError, match="first_row"):
        find_import("shop", project)


def problems(changed: dict[str, Any]) -> list[str]:
    """Return the paths at which the JSON schema finds an import file wrong."""
    errors = Draft202012Validator(HistoricalImportModel.model_json_schema()).iter_errors(attributes() | changed)
    return [error.json_path for error in errors]


def test_the_json_schema_takes_every_field() -> None:
    Draft202012Validator.check_schema(HistoricalImportModel.model_json_schema())
    assert problems({}) == []


@pytest.mark.parametrize(
    "short",
    [
        {"automation": {"new_data": True, "notify": False}},
        {"mapping": {"person_properties": "set"}},
        {"mapping": {"steps": [{"step": "types", "types": {"price": "float"}, "on_failure": None}]}},
        {"source": {"type": "mixpanel", "project_id": 1, "service_account": "a", "service_account_secret": "{{ x }}"}},
        {"source": {"type": "my_package.Source", "anything": [1]}},
        {"destination": None, "people": None, "first_rows": None},
        {"processes": "{{ env.PROCESSES }}", "mapping": "{{ shared_mapping }}"},
    ],
    ids=json.dumps,
)
def test_the_json_schema_takes_short_forms_own_classes_and_templates(short: dict[str, Any]) -> None:
    assert problems(short) == []


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"surce": {}}, "$"),
        ({"processes": 0}, "$.processes"),
        ({"source": {"type": "fils", "path": "x"}}, "$.source.type"),
        ({"source": {"type": "files", "path": "x", "patt": "y"}}, "$.source"),
        ({"dialect": {"type": "amplitude", "event": {"value": "x"}}}, "$.dialect"),
        ({"mapping": {"steps": [{"step": "drop", "names": []}]}}, "$.mapping.steps[0].names"),
        ({"destination": {"protocol": "v2"}}, "$.destination.protocol"),
        ({"automation": {"daily": {"enabled": "perhaps"}}}, "$.automation.daily.enabled"),
    ],
    ids=json.dumps,
)
def test_the_json_schema_finds_what_is_wrong_in_any_section(wrong: dict[str, Any], path: str) -> None:
    assert problems(wrong) == [path]


def test_the_json_schema_has_the_fields_of_every_source_dialect_and_step() -> None:
    text = json.dumps(TypeAdapter(HistoricalImportModel).json_schema())
    for section in (*SOURCES.values(), *DIALECTS.values(), *STEPS.values()):
        for name, field in section.model_fields.items():
            assert f'"{field.alias or name}": {{' in text, (section.__name__, name)


@pytest.mark.end_to_end
def test_dg_checks_the_yaml_and_points_at_the_line(project: Path) -> None:
    write(project, EVERY_FIELD.replace("concurrency: 2", "concurrency: many"))
    dg = [str(Path(sys.executable).with_name("dg")), "check", "yaml", "--no-validate-requirements"]
    found = subprocess.run(dg, cwd=project, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "concurrency: many" in found.stdout
    assert found.stdout.count("defs.yaml:") == 1
