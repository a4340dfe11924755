"""Arguments and options that several commands have."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from posthog_assets.cli.options import day_option, page_option


def run(option: Any, *arguments: str) -> Result:
    def show(**given: Any) -> None:
        click.echo(repr(next(iter(given.values()))))

    return CliRunner().invoke(click.command()(option(show)), arguments)


@pytest.mark.parametrize(("arguments", "day"), [((), None), (("--day", "2024-03-01"), date(2024, 3, 1))])
def test_a_day_is_a_date_or_nothing(arguments: tuple[str, ...], day: date | None) -> None:
    assert run(day_option("--day"), *arguments).output == f"{day!r}\n"


@pytest.mark.parametrize("text", ["01.03.2024", "2024-02-30", "2024-03-01T10:00:00"])
def test_what_is_no_day_is_refused(text: str) -> None:
    found = run(day_option("--day"), "--day", text)
    assert found.exit_code == 2
    assert f"'{text}' is no day of the calendar, written as 2024-03-01" in found.output


def test_the_help_says_how_a_day_is_written() -> None:
    assert "--day YYYY-MM-DD" in run(day_option("--day"), "--help").output


def test_a_page_in_a_folder_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    found = run(page_option(), "--html", str(tmp_path / "gone/page.html"))
    assert found.exit_code == 2
    assert "there is no folder" in found.output
    assert run(page_option(), "--html", str(tmp_path / "page.html")).exit_code == 0
