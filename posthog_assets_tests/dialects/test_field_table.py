"""The tables that are made from the dialects, and the command that prints them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from posthog_assets.cli.main import cli
from posthog_assets.core.errors import ImportFileError
from posthog_assets.dialects import DIALECTS
from posthog_assets.dialects.field_table import as_markdown, fields_not_imported, mapping_table
from posthog_assets.dialects.vendor import Vendor

VENDORS = sorted(name for name, dialect in DIALECTS.items() if issubclass(dialect, Vendor))


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_every_dialect_can_be_described_and_every_field_has_words(name: str) -> None:
    entries = mapping_table(DIALECTS[name])
    assert entries
    assert all(entry.field and (entry.becomes or entry.note) for entry in entries)


@pytest.mark.parametrize("name", VENDORS)
def test_every_entry_of_a_vendors_tables_shows_up(name: str) -> None:
    vendor = DIALECTS[name]
    assert issubclass(vendor, Vendor)
    shown = {(entry.field, entry.becomes) for entry in mapping_table(vendor)}
    expected = {
        *vendor.properties.items(),
        *vendor.renames.items(),
        *((f"event {old}", new) for old, new in vendor.names.items()),
        *((f"event {left}", "left out") for left in vendor.left_out),
        *((path, f"$set.{name}") for path, name in vendor.person_set.items()),
        *((path, f"$set_once.{name}") for path, name in vendor.person_set_once.items()),
        *vendor.notes,
        *((path, "timestamp") for path in vendor.timestamp),
        *((path, "user id") for path in vendor.user_id),
        *((path, "anonymous id") for path in vendor.anonymous_id),
        *((path, "uuid") for path in vendor.source_id),
    }
    assert expected <= shown
    text = as_markdown(mapping_table(vendor))
    assert all(member in text for member in vendor.dropped | (vendor.nothing - {""}))


def test_the_command_lists_the_dialects() -> None:
    result = CliRunner().invoke(cli, ["dialects"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == sorted(DIALECTS)


def test_the_command_prints_a_table_in_markdown() -> None:
    result = CliRunner().invoke(cli, ["dialects", "segment", "--markdown"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[:2] == ["| field | becomes | note |", "|---|---|---|"]
    assert "| context.page.url | $current_url |  |" in lines
    assert "| originalTimestamp | timestamp | where timestamp is empty |" in lines


def test_the_command_prints_a_table_to_read() -> None:
    result = CliRunner().invoke(cli, ["dialects", "pendo"])
    assert result.exit_code == 0
    assert "browserTimestamp" in result.output


def test_an_unknown_dialect_is_named_with_those_there_are() -> None:
    result = CliRunner().invoke(cli, ["dialects", "acme"])
    assert isinstance(result.exception, ImportFileError)
    assert str(result.exception).startswith("dialect 'acme' is unknown; there are: ")


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_what_is_not_imported_is_named_with_its_reason(name: str) -> None:
    entries = list(fields_not_imported(DIALECTS[name]))
    assert all(entry.becomes == "not imported" and entry.note for entry in entries)
    vendor = DIALECTS[name]
    if issubclass(vendor, Vendor):
        named = set(vendor.not_imported) & set(vendor.properties)
        assert not named, "a field is imported or it is not"
