"""What an import does by itself, how often, and up to where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.pipeline.config.automation import Automation, Daily, NewData, Notify, RetryFailed, cron_of


@pytest.mark.parametrize(
    ("tried", "minutes"), [(0, 5), (1, 15), (2, 45), (3, 135), (4, 405), (5, 1215), (6, 1440), (1_000_000, 1440)]
)
def test_each_pause_is_three_times_the_one_before_up_to_the_longest(tried: int, minutes: int) -> None:
    assert RetryFailed().delay(tried) == timedelta(minutes=minutes)


@pytest.mark.parametrize(("given", "enabled"), [(True, True), (False, False), ({"enabled": True}, True), ({}, False)])
def test_true_and_false_stand_for_a_section(given: Any, enabled: bool) -> None:
    assert NewData.model_validate(given).enabled is enabled


@pytest.mark.parametrize("at", ["24:00", "3:00", "03:60", "03:00:00", ""])
def test_what_is_no_time_of_day_is_refused(at: str) -> None:
    with pytest.raises(ValidationError, match="must be a time of day, HH:MM"):
        Daily(at=at)


def test_a_time_of_day_is_a_schedule_for_every_day() -> None:
    assert (cron_of("03:05"), cron_of("23:00")) == ("5 3 * * *", "0 23 * * *")


def test_two_triggers_of_one_day_are_refused() -> None:
    with pytest.raises(ValidationError, match="new_data and daily would both import each day"):
        Automation.model_validate({"new_data": True, "daily": True})


@pytest.mark.parametrize(
    ("given", "variable", "starts"),
    [
        ({}, None, False), ({}, "https://hooks.example/x", True), ({"webhook": "https://hooks.example/x"}, None, True),
        ({"webhook": ""}, "", False), (False, "https://hooks.example/x", False), (True, None, True),
    ],
)  # fmt: skip
def test_messages_start_where_there_is_a_webhook_unless_the_import_file_says_otherwise(
    given: Any, variable: str | None, starts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POSTHOG_ASSETS_NOTIFY_URL", raising=False)
    if variable is not None:
        monkeypatch.setenv("POSTHOG_ASSETS_NOTIFY_URL", variable)
    assert Notify.model_validate(given).starts is starts


def test_a_webhook_that_is_no_address_is_refused_without_being_shown() -> None:
    with pytest.raises(ValidationError, match="must be a URL, https://") as found:
        Notify.model_validate({"webhook": "hooks.example/token-1"})
    assert "token-1" not in str(found.value)
