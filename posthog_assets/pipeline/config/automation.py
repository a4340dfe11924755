"""The `automation` section of the import file: what an import does by itself, how often, and up to where.

Belongs here: switches, intervals and limits, and why they are what they are. Does not belong here: the sensors
(`sensors`), schedules and checks that obey them.
"""

from __future__ import annotations

import os
import re
from datetime import time, timedelta
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue

from posthog_assets.core.sections import Section

#: Where failures are posted when an import file names no webhook of its own.
NOTIFY_VARIABLE: Final = "POSTHOG_ASSETS_NOTIFY_URL"

_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_ENABLED: Final = "Run from the start; otherwise it waits, stopped, to be started in Dagster's UI"


def _clock(value: str) -> str:
    if not _CLOCK.fullmatch(value):
        raise ValueError("must be a time of day, HH:MM (UTC), in quotes")
    return value


#: A time of day, HH:MM.
ClockTime = Annotated[str, AfterValidator(_clock)]


class Switch(Section):
    """Something that runs by itself. `true` and `false` may stand for a section that says only that."""

    short_form: ClassVar[JsonSchemaValue] = {"type": "boolean"}

    @model_validator(mode="before")
    @classmethod
    def _is_on_or_off(cls, value: Any) -> Any:
        return {"enabled": value} if isinstance(value, bool) else value


class NewData(Switch):
    """The sensor for days that are new in the source, or have changed there.

    It is off until somebody asks for it: an import file that is tried out must not begin to send. Five minutes between
    two looks are short for data that comes once a day, and cost one listing. 25 days on their way keep a machine busy
    for minutes without filling Dagster's queue with years, where they would stand before everything else.
    """

    enabled: bool = Field(False, description=_ENABLED)
    every_seconds: int = Field(300, ge=5, description="Pause between two looks at the source")
    days_at_once: int = Field(25, ge=1, le=500, description="Most days queued or running at the same time")
    settle_seconds: float = Field(60, ge=0, description="A file changed less than this long ago is still being written")


class RetryFailed(Switch):
    """The sensor that runs failed days again, where that can help.

    It is off until somebody asks for it: a failure that no person has read should not be covered up by a second one.
    Six tries with pauses of 5, 15, 45 minutes, 2¼, 6¾ and 20 hours outlast an outage of a day, and stop.
    """

    enabled: bool = Field(False, description=_ENABLED)
    every_seconds: int = Field(120, ge=5, description="Pause between two looks at the failed days")
    attempts: int = Field(6, ge=1, le=20, description="Tries before a day is left to a person")
    first_delay_minutes: float = Field(5, ge=0, description="Pause before the first try; three times as long each time")
    longest_delay_hours: float = Field(24, gt=0, description="No pause is longer")
    days_at_once: int = Field(10, ge=1, le=500, description="Most days queued or running at the same time")

    def delay(self, tried: int) -> timedelta:
        """Return the pause before the next try, after *tried* tries of this sensor."""
        longest = timedelta(hours=self.longest_delay_hours)
        return min(timedelta(minutes=self.first_delay_minutes) * 3 ** min(tried, 20), longest)


class DailySwitch(Switch):
    """Something that runs once a day, at a time of day in UTC."""

    enabled: bool = Field(False, description=_ENABLED)
    at: ClockTime = Field("00:00", description="HH:MM, UTC")


class Daily(DailySwitch):
    """A schedule that imports, once a day, the last day whose data is complete.

    For sources that always have an answer, such as an API; where files arrive whenever they arrive, the sensor for new
    data fits better. It is off until somebody asks for it, like everything that sends.
    """

    at: ClockTime = Field("03:00", description="HH:MM, UTC; the day it imports is the last one complete by then")


class FailedDays(DailySwitch):
    """The check that no day was left failed, looked at once a day.

    It sends nothing and reads only Dagster's own history. It is off by default because Dagster's daemon would otherwise
    start a run a day for imports that were finished years ago.
    """

    at: ClockTime = Field("06:00", description="HH:MM, UTC")


class Prune(DailySwitch):
    """A schedule that applies the `retention` section once a day.

    It is off until somebody asks for it, like everything that deletes; `posthog-assets prune` does the same by hand.
    """

    at: ClockTime = Field("05:00", description="HH:MM, UTC")


class Notify(Switch):
    """Telling people that runs failed: in the log of the sensor, and at a webhook.

    It is on where there is a webhook, since setting one asks for messages. One message reports all failures since the
    last one, grouping identical failures: a thousand days that fail for one reason are one sentence, not a thousand
    messages.
    """

    enabled: bool | None = Field(None, description=f"{_ENABLED}; absent: where there is a webhook")
    webhook: SecretStr | None = Field(
        None, description=f'URL that takes {{"text": …}} as Slack\'s do; default ${NOTIFY_VARIABLE}'
    )
    every_seconds: int = Field(60, ge=5, description="Pause between two looks for failures")
    ui_url: str | None = Field(None, description="Address of Dagster's UI, for links to the runs")
    timeout_seconds: float = Field(10, gt=0, le=30, description="Longest wait for the webhook")

    @field_validator("webhook", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: Any) -> Any:
        return value or None

    @field_validator("webhook")
    @classmethod
    def _is_a_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.match(r"https?://[^\s/]+", value.get_secret_value()):
            raise ValueError("must be a URL, https://…")
        return value

    @property
    def url(self) -> str | None:
        """The webhook, a secret: the file's own, else the environment's."""
        return self.webhook.get_secret_value() if self.webhook else os.environ.get(NOTIFY_VARIABLE) or None

    @property
    def starts(self) -> bool:
        return self.url is not None if self.enabled is None else self.enabled


class Automation(Section):
    """What runs by itself; `new_data: true` is short for `new_data: {enabled: true}`."""

    new_data: NewData = Field(
        default_factory=lambda: NewData.model_validate({}), description="Import days whose data is new or has changed"
    )
    retry_failed: RetryFailed = Field(
        default_factory=lambda: RetryFailed.model_validate({}),
        description="Run failed days again, where trying again can help",
    )
    daily: Daily = Field(
        default_factory=lambda: Daily.model_validate({}),
        description="Import the day that has just ended, on a schedule",
    )
    failed_days: FailedDays = Field(
        default_factory=lambda: FailedDays.model_validate({}),
        description="Look once a day whether a day was left failed",
    )
    prune: Prune = Field(
        default_factory=lambda: Prune.model_validate({}),
        description="Delete stored files of imported days, as `retention` says",
    )
    notify: Notify = Field(
        default_factory=lambda: Notify.model_validate({}), description="Send messages about failed runs"
    )
    stale_after_hours: float | None = Field(
        None,
        ge=0.1,
        description="Without a new day for so long an import that has no end_date counts as stale; absent: 36 where "
        "new_data or daily is enabled, else never",
    )

    @model_validator(mode="after")
    def _has_one_trigger(self) -> Automation:
        if self.new_data.enabled and self.daily.enabled:
            raise ValueError(
                "new_data and daily would both import each day; enable new_data (files, late data) or daily, not both"
            )
        return self


def cron_of(at: str) -> str:
    """Return a cron schedule for every day at *at*, HH:MM."""
    moment = time.fromisoformat(at)
    return f"{moment.minute} {moment.hour} * * *"
