"""Which failed runs are reported, once each. With a daemon: `end_to_end`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from posthog_assets.orchestration.sensors.failure_notices import build_notice_sensor
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.scripted_days import DAYS, ScriptedDays, failure
from posthog_assets_tests.fakes.webhook import Webhook

REFUSED = {"raw_export": failure("the source is away", "SourceUnavailable")}


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    """Failures of three runs: the import's own, one that Dagster retries itself, and another import's."""
    with dg.DagsterInstance.ephemeral() as found:
        days = ScriptedDays(found)
        days.run("2024-03-01", ["raw_export"], REFUSED)
        days.run("2024-03-02", ["raw_export"], REFUSED, dagster__will_retry="true")
        ScriptedDays(found, "other").run("2024-03-03", ["raw_export"], REFUSED)
        yield found


def ticked(instance: dg.DagsterInstance, folder: Path, cursor: str | None, webhook: str | None) -> tuple[str, str]:
    """Return what a tick says, and the cursor it leaves."""
    imp = small_import(folder, automation={"notify": {"webhook": webhook}})
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    result = build_notice_sensor(imp, DAYS)(context)
    assert isinstance(result, dg.SkipReason)
    return str(result.skip_message), str(context.cursor)


def test_what_failed_before_the_sensor_was_started_is_not_reported(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with Webhook() as webhook:
        words, cursor = ticked(instance, tmp_path, None, webhook.url)
        assert words == "failures from now on are reported"
        assert ticked(instance, tmp_path, cursor, webhook.url) == ("no run has failed", cursor)
    assert webhook.told == []


def test_own_failures_are_reported_and_not_those_of_others_or_that_dagster_retries(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with Webhook() as webhook:
        words, cursor = ticked(instance, tmp_path, "0", webhook.url)
        assert words == "reported 1 failures"
        assert ticked(instance, tmp_path, cursor, webhook.url)[0] == "no run has failed"
    (text,) = webhook.told
    assert "raw_export failed for 2024-03-01: the source is away." in text
    assert "2024-03-02" not in text
    assert "2024-03-03" not in text


def test_what_the_webhook_did_not_take_is_reported_by_the_next_tick(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with Webhook(status=503) as webhook:
        words, cursor = ticked(instance, tmp_path, "0", webhook.url)
        assert words == ("1 failures could not be reported: the webhook answers HTTP 503; the next tick tries again")
        assert cursor == "0"
        webhook.status = 200
        assert ticked(instance, tmp_path, cursor, webhook.url)[0] == "reported 1 failures"


def test_without_a_webhook_the_log_is_the_report(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert ticked(instance, tmp_path, "0", None)[0] == "reported 1 failures"
