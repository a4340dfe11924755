"""The job that writes the page about an import into its storage."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.orchestration.jobs.report_import import build_report_job
from posthog_assets.pipeline.export import export_day
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.scripted_days import DAYS, ScriptedDays, failure
from posthog_assets_tests.pipeline.test_whole_way import record, write_day

pytest.importorskip("matplotlib", reason="needs the extra posthog_assets[report]")


def test_the_page_and_how_many_days_are_in_which_state_are_the_output(tmp_path: Path) -> None:
    write_day(tmp_path, record(1))
    imp = small_import(tmp_path, end_date="2024-03-10")
    export_day(imp, date(2024, 3, 1))
    with dg.DagsterInstance.ephemeral() as instance:
        ScriptedDays(instance).run("2024-03-03", ["raw_export"], {"raw_export": failure("no <b>file</b>")})
        result = build_report_job(imp, DAYS).execute_in_process(instance=instance)
        (output,) = [event.step_output_data for event in result.all_node_events if event.is_successful_output]
    page = tmp_path / "data/small/report.html"
    assert Path(str(output.metadata["page"].value)) == page
    assert "no &lt;b&gt;file&lt;/b&gt;" in page.read_text()
    lines = str(output.metadata["days"].value).splitlines()
    assert lines[:2] == ["| days | |", "|---|--:|"]
    assert {"| failed | 1 |", "| not imported | 2 |"} <= set(lines)
