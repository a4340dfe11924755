"""What `posthog-assets dialects` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from posthog_assets.cli.main import cli
from posthog_assets.dialects import DIALECTS
from posthog_assets_tests.records.shop import write_import


def test_every_dialect_is_listed() -> None:
    shown = CliRunner().invoke(cli, ["dialects"]).stdout
    assert [line.split()[0] for line in shown.splitlines()] == sorted(DIALECTS)


def test_the_reader_of_an_imports_columns_can_be_printed(project: Path) -> None:
    write_import(project, "http://127.0.0.1:1")
    result = CliRunner().invoke(cli, ["dialects", "shop", "--source", "--project", str(project)])
    assert result.exit_code == 0
    assert "def lines(dialect, texts, columns):" in result.stdout
    assert "            time = record['at']" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["columns", "--source"], "is compiled from the columns of an import: posthog-assets dialects IMPORT --source"),
        (["mixpannel"], "dialect 'mixpannel' is unknown; there are: amplitude"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(cli, ["dialects", *arguments])
    assert result.exit_code != 0
    assert words in " ".join(f"{result.output} {result.exception}".split())
