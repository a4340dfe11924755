"""The commands as a whole: what the list of them says, and numbers that make no sense."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from posthog_assets.cli.main import cli


def test_the_sentence_of_each_command_fits_into_eighty_columns() -> None:
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=80).output
    lines = shown.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in lines] == sorted(cli.commands)
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("number", ["-1", "some"])
def test_a_limit_of_less_than_no_rows_is_refused(number: str) -> None:
    found = CliRunner().invoke(cli, ["rejected", "shop", "--day", "2024-03-01", "--limit", number])
    assert found.exit_code == 2
    assert "Invalid value for '--limit'" in found.output
