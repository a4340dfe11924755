"""What an import does by itself: sensors for new data, failed days and messages, and the daily schedule.

Belongs here: Dagster's side of `automation`. Does not belong here: which days are new (`new_data`), what failed and why
(`history`), the words of messages (`notice_text`).

Every kind of failure has one owner, so that no two of them try again on top of each other:

| what failed | who tries again |
|---|---|
| an HTTP request | the step itself, within its own budget (`destination.sender`, the sources) |
| a step, for a reason that passes soon | the asset's retry policy, at once |
| the run's process | Dagster's daemon, once (`run_retries` in dagster.yaml) |
| what is failed after all that | `<import>_retry_failed`, with growing pauses, a bounded number of times |
| what trying again cannot cure | a person |
"""

from __future__ import annotations

import dagster as dg

from posthog_assets.orchestration.sensors.failure_notices import build_notice_sensor
from posthog_assets.orchestration.sensors.new_data import build_new_data_sensor
from posthog_assets.orchestration.sensors.retry_failed import build_retry_sensor
from posthog_assets.orchestration.sensors.ticks import Job, Partitions
from posthog_assets.pipeline.config.import_file import Import


def build_sensors(imp: Import, partitions: Partitions, job: Job) -> list[dg.SensorDefinition]:
    """Return the sensors of an import; they run from the start only where `automation` says so."""
    return [
        build_new_data_sensor(imp, partitions, job),
        build_retry_sensor(imp, partitions, job),
        build_notice_sensor(imp, partitions),
    ]
