"""The command that says what may go wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from posthog_assets.cli.main import cli
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply
from posthog_assets_tests.records.shop import DAY, invoke, package_of, write_import


def test_after_a_fix_of_the_mapping_what_was_dropped_is_sent(project: Path) -> None:
    with CaptureServer(lambda asked: Reply(verdicts={u: {"result": "drop"} for u in asked.uuids[1:]})) as server:
        imp = write_import(project, server.url)
        for step in (export_day, stage_day, transform_day, deliver_day):
            step(imp, DAY)
        fixed = imp.model_copy(
            update={"mapping": type(imp.mapping).model_validate({"properties": {"add": {"shop": "x"}}})}
        )
        server.script = lambda asked: None
        transform_day(fixed, DAY)
        report = deliver_day(fixed, DAY)
    # All are changed; the heartbeat is an event now, the one of `null` never is.
    assert (report.sent, report.acknowledged, report.dropped, report.owed) == (3, 3, 0, 0)


def test_a_destination_is_checked_by_name(project: Path) -> None:
    with CaptureServer(lambda asked: Reply(400, b'{"error":"empty_batch"}')) as server:
        write_import(project, server.url)
        found = invoke(project, "check", "shop")
        assert (found.exit_code, "events will go to /i/v1/analytics/events" in found.output) == (0, True)
        server.script = lambda asked: Reply(401, b"unknown")
        assert invoke(project, "check", "shop").exit_code == 1
    with pytest.raises(Exception, match="there is no import 'other'; there are: shop"):
        CliRunner().invoke(cli, ["check", "other", "--project", str(project)], catch_exceptions=False)


def test_of_an_import_that_cannot_be_loaded_it_is_not_said_that_there_is_none(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    path = project / package_of(project) / "defs/shop/defs.yaml"
    path.write_text(path.read_text().replace("dialect:", "dialekt:", 1))
    found = CliRunner().invoke(cli, ["check", "shop", "--project", str(project)])
    assert str(found.exception).startswith("shop cannot be loaded: ")
    assert "did you mean dialect?" in str(found.exception)
    assert "there is no import" not in str(found.exception)


def test_a_path_with_no_file_is_a_problem(project: Path) -> None:
    with CaptureServer(lambda asked: Reply(400, b'{"error":"empty_batch"}')) as server:
        write_import(project, server.url, source={"type": "files", "path": str(project / "wrong/{day}.jsonl")})
        found = invoke(project, "check", "shop")
    assert found.exit_code == 1
    assert "none of the days 2024-03-01 to 2024-03-31 has a file" in found.output


def test_the_source_is_read_and_its_days_and_records_are_shown(project: Path) -> None:
    dialect = {
        "type": "columns",
        "event": {"column": "what"},
        "user_id": {"column": "user"},
        "timestamp": {"column": "at"},
        "source_id": {"column": "i"},
    }
    with CaptureServer(lambda asked: Reply(400, b'{"error":"empty_batch"}')) as server:
        write_import(project, server.url, end_date="2024-03-03", dialect=dialect)
        found = invoke(project, "check", "shop")
    words = " ".join(found.output.replace("│", " ").split())
    assert "1 day has files, 2024-03-01 to 2024-03-01; 2 days have none: 2024-03-02, 2024-03-03" in words
    assert "dialect.source_id names the column i, which none of 5 records has; did you mean id?" in words
    assert "5 of 5 records are rejected (100.0%)" in words
    assert found.exit_code == 1


def test_without_a_name_all_imports_are_checked_and_a_broken_one_fails(project: Path) -> None:
    with CaptureServer(lambda asked: Reply(400, b'{"error":"empty_batch"}')) as server:
        write_import(project, server.url, end_date="2024-03-01")
        assert invoke(project, "check").exit_code == 0
        broken = project / package_of(project) / "defs/broken/defs.yaml"
        broken.parent.mkdir()
        broken.write_text("type: posthog_assets.HistoricalImport\nattributes: {name: broken}\n")
        found = invoke(project, "check")
    assert found.exit_code == 1
    assert "broken cannot be loaded" in found.output
