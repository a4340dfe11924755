"""The command that writes the page about an import."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from posthog_assets.pipeline.export import export_day
from posthog_assets_tests.pipeline.report.test_page import Texts
from posthog_assets_tests.records.shop import DAY, invoke, write_import

pytest.importorskip("matplotlib", reason="needs the extra posthog_assets[report]")


def test_the_command_writes_the_page(project: Path) -> None:
    imp = write_import(project, "http://127.0.0.1:9")
    export_day(imp, DAY)
    result = invoke(project, "report", "shop", "--html", str(project / "report.html"))
    assert result.exit_code == 0, result.output
    page = Texts((project / "report.html").read_text())
    assert "2024-03-01 to 2024-03-01" in " ".join(page.texts)
    assert "not imported: 1" in page.texts


def test_only_the_days_of_the_range_are_on_the_page(project: Path) -> None:
    imp = write_import(project, "http://127.0.0.1:9")
    for day in (date(2024, 3, 2), date(2024, 3, 4), date(2024, 3, 9)):
        shutil.copy(project / "exports/2024-03-01.jsonl", project / f"exports/{day}.jsonl")
        export_day(imp, day)
    page = project / "report.html"
    result = invoke(project, "report", "shop", "--html", str(page), "--from", "2024-03-03", "--to", "2024-03-09")
    assert result.output == f"{page}: 6 days of shop\n"
    assert "2024-03-04 to 2024-03-09" in " ".join(Texts(page.read_text()).texts)


def test_a_range_that_ends_before_it_begins_is_refused_and_nothing_is_written(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    page = project / "report.html"
    result = invoke(project, "report", "shop", "--html", str(page), "--from", "2024-03-09", "--to", "2024-03-03")
    assert str(result.exception) == "the last day, 2024-03-03, lies before the first, 2024-03-09"
    assert not page.exists()
