"""What is printed of events that are to be owed again."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from posthog_assets.pipeline.day_state.owed import owed_events
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply
from posthog_assets_tests.pipeline.test_whole_way import STEPS, materialize
from posthog_assets_tests.pipeline.upkeep.test_release import DAY, dropping, write
from posthog_assets_tests.records.shop import invoke, write_import


def test_the_command_says_what_is_released_and_how_to_send_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from posthog_assets.cli import release
    from posthog_assets.cli.main import cli

    with CaptureServer(dropping) as server:
        imp = small_import(tmp_path, destination={"host": server.url, "project_api_key": "phc_any"})
        write(tmp_path, "page", "click", "other")
        materialize(imp, DAY, *STEPS[:4])
    monkeypatch.setattr(release, "find_import", lambda name, project: imp)
    asked = CliRunner().invoke(cli, ["release", "small", "--day", DAY, "--reason", "enforcement"])
    assert asked.exit_code == 0, asked.output
    assert "1  event schema enforcement: price" in asked.output
    assert "1 event is owed again. To send it: posthog-assets backfill small --from 2024-03-01" in asked.output
    again = CliRunner().invoke(cli, ["release", "small", "--day", DAY, "--reason", "enforcement"])
    assert (again.exit_code, "dropped no event" in again.output) == (1, True)


def test_a_dry_run_shows_words_of_strangers_as_text_and_changes_nothing(project: Path) -> None:
    words = "[red]no\x1b]0;title\x07 :package: {why}"

    def refusing(asked: Asked) -> Reply:
        return Reply(verdicts={asked.body["batch"][0]["uuid"]: {"result": "drop", "details": words}})

    with CaptureServer(refusing) as server:
        imp = write_import(project, server.url)
        for step in (export_day, stage_day, transform_day, deliver_day):
            step(imp, date(2024, 3, 1))
    shown = invoke(project, "release", "shop", "--day", DAY, "--dry-run")
    assert (shown.exit_code, shown.output.splitlines()) == (
        0,
        [
            "        1  [red]no\\x1b]0;title\\x07 :package: {why}",
            "1 event would be owed again; nothing was changed",
        ],
    )
    assert owed_events(imp.store, date(2024, 3, 1)) == 0
