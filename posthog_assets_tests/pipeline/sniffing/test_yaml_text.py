"""The text of an import file: it says what the draft says, and people can read it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.sniffing.draft import Draft, sniff_files
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding
from posthog_assets.pipeline.sniffing.preview import without_variables
from posthog_assets.pipeline.sniffing.templates import template, template_names
from posthog_assets.pipeline.sniffing.yaml_text import draft_text, flow, template_text
from posthog_assets.sources import SOURCES
from posthog_assets_tests.records.exports import EXPORTS


@pytest.mark.parametrize("vendor", sorted(EXPORTS))
def test_the_file_says_what_the_draft_does_and_loads(vendor: str, tmp_path: Path) -> None:
    draft = sniff_files("shop", str(EXPORTS[vendor](tmp_path)))
    written = yaml.safe_load(draft_text(draft, "../schema.json"))
    assert written["type"] == "posthog_assets.HistoricalImport"
    attributes = written["attributes"]
    assert {key: attributes[key] for key in draft.attributes} == draft.attributes
    assert Import.read(without_variables(attributes)).dialect.type == vendor


@pytest.mark.parametrize("name", template_names())
def test_every_template_loads_once_its_variables_are_set(name: str) -> None:
    attributes = yaml.safe_load(template_text("shop", template(name)))["attributes"]
    if attributes["source"]["type"] not in SOURCES:
        pytest.skip(f"this release has no source of the type {attributes['source']['type']}")
    imp = Import.read(_filled(attributes))
    assert (imp.name, imp.start_date) == ("shop", date(2024, 1, 1))


def _filled(value: Any) -> Any:
    """Return *value* with something a variable may hold in the place of each."""
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items() if key not in ("host", "url", "base_url")} | {
            key: _host(item) for key, item in value.items() if key in ("host", "url", "base_url")
        }
    return "12345" if isinstance(value, str) and value.startswith("{{") else value


def _host(value: Any) -> Any:
    return "https://host.example" if isinstance(value, str) and value.startswith("{{") else value


def test_what_is_unsure_is_marked_above_its_line() -> None:
    draft = Draft(
        {"name": "a", "start_date": "2024-03-01", "source": {"type": "files"}, "dialect": {"event": {"value": "x"}}},
        [Finding("dialect.event", "x", Certainty.UNSURE, "no column names the event")], [],
        first_day=date(2024, 3, 1),
    )  # fmt: skip
    lines = draft_text(draft).splitlines()
    place = lines.index("    event: {value: x}")
    assert lines[place - 1] == "    # UNSURE: event: no column names the event"
    assert '  # end_date: "2024-12-31"' in lines


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none()), max_size=4))
def test_whatever_columns_are_called_the_yaml_reads_back(value: dict[str, Any]) -> None:
    assert yaml.safe_load(flow(value)) == value


@pytest.mark.parametrize(
    ("source", "mapping"), [("amplitude", {"sessions": "auto"}), ("mixpanel", None), ("sql", None)]
)
def test_a_new_file_takes_over_the_sessions_that_its_source_knows(source: str, mapping: Any) -> None:
    assert yaml.safe_load(template_text("shop", template(source)))["attributes"].get("mapping") == mapping


def test_a_file_that_is_written_for_data_takes_over_its_sessions(tmp_path: Path) -> None:
    text = draft_text(sniff_files("shop", str(EXPORTS["amplitude"](tmp_path))))
    assert yaml.safe_load(text)["attributes"]["mapping"] == {"sessions": "auto"}
