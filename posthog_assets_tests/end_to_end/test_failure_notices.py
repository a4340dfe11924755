"""People are told once of what failed, why, and what to do; a webhook that is down stops nothing and loses nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from posthog_assets_tests.end_to_end.test_retry_failed import down, run
from posthog_assets_tests.fakes.daemon import World
from posthog_assets_tests.fakes.webhook import Webhook

DAYS = ["2024-03-01", "2024-03-02", "2024-03-03"]


def world_of(folder: Path, host: str, **notify: Any) -> World:
    world = World(folder, host, notify=notify)
    world.attributes["source"] = {
        "type": "posthog_assets_tests.fakes.flaky.Flaky",
        "path": str(folder / "exports/{day}.jsonl"),
    }
    return world


def test_failures_that_are_alike_are_one_sentence_with_days_reason_and_what_to_do(
    tmp_path: Path, shared_sandbox: Any
) -> None:
    with Webhook() as webhook:
        world = world_of(tmp_path, shared_sandbox.url, webhook=webhook.url, ui_url="https://dagster.example/")
        assert world.tick("failure_notices").skip_reason == "failures from now on are reported"
        for day in DAYS:
            world.write(day, "ada")
            down(world, day, "never")
            run(world, day)
        assert world.tick("failure_notices").skip_reason == "reported 3 failures"
        (text,) = webhook.told
        assert text.startswith(
            "small/raw_export failed for 2024-03-01, 2024-03-02, 2024-03-03: the vendor has closed this account; "
            "open it again. Trying again cannot help: somebody has to act, then run the days again "
            "(Re-execute from failure). (https://dagster.example/runs/"
        )
        assert world.tick("failure_notices").skip_reason == "no run has failed"
        assert len(webhook.told) == 1


def test_a_webhook_that_is_down_gets_everything_later_and_its_address_is_never_shown(
    tmp_path: Path, shared_sandbox: Any
) -> None:
    with Webhook(status=503) as webhook:
        world = world_of(tmp_path, shared_sandbox.url, webhook=webhook.url)
        world.tick("failure_notices")
        world.write(DAYS[0], "ada")
        down(world, DAYS[0], "901")
        run(world, DAYS[0])
        first = world.tick("failure_notices")
        assert not first.failed
        assert first.skip_reason == (
            "1 failures could not be reported: the webhook answers HTTP 503; the next tick tries again"
        )
        webhook.status = 200
        world.tick("failure_notices")
        assert ["the vendor is down" in text for text in webhook.told] == [True]
    down(world, DAYS[0], "901")
    run(world, DAYS[0])
    gone = world.tick("failure_notices")
    assert not gone.failed
    assert "the webhook did not answer" in str(gone.skip_reason)
    assert "a-secret" not in str(gone)


def test_a_run_that_dagster_retries_itself_is_nothing_to_tell(tmp_path: Path, shared_sandbox: Any) -> None:
    with Webhook() as webhook:
        world = world_of(tmp_path, shared_sandbox.url, webhook=webhook.url)
        world.tick("failure_notices")
        world.write(DAYS[0], "ada")
        down(world, DAYS[0], "901")
        run(world, DAYS[0])
        with world.daemon() as daemon:
            daemon.instance.add_run_tags(daemon.instance.get_runs(limit=1)[0].run_id, {"dagster/will_retry": "true"})
        world.tick("failure_notices")
        assert webhook.told == []


def test_the_webhook_may_stand_in_the_environment_and_switches_the_sensor_on(
    tmp_path: Path, shared_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Webhook() as webhook:
        world = world_of(tmp_path, shared_sandbox.url)
        monkeypatch.setenv("POSTHOG_ASSETS_NOTIFY_URL", webhook.url)
        world.tick("failure_notices", timedelta(minutes=1))
        world.write(DAYS[0], "ada")
        down(world, DAYS[0], "901")
        run(world, DAYS[0])
        world.tick("failure_notices")
        assert len(webhook.told) == 1
