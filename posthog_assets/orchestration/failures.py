"""Why a run failed.

Belongs here: reading it from Dagster's events. Does not belong here: what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterInstance

from posthog_assets.core import errors
from posthog_assets.core.errors import shorten


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed: *asset* None where no step says; *error* is the class in `errors`; *at* a Unix time."""

    asset: str | None
    words: str
    run_id: str
    at: float | None = None
    error: str | None = None
    #: What the failed step had counted until then.
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def waits_for_a_person(self) -> bool:
        """Whether trying again without changing anything fails again."""
        kind = getattr(errors, self.error or "", None)
        return isinstance(kind, type) and issubclass(kind, errors.PosthogAssetsError) and not kind.temporary


def failure_of(instance: DagsterInstance, run_id: str, name: str) -> Failure | None:
    """Return why a run of import *name* failed; None where its log says nothing of a failure."""
    kinds = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    failure = None
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.dagster_event
        if event and event.event_type == DagsterEventType.STEP_FAILURE:
            return _of_step(event, run_id, entry.timestamp, name)
        if event:
            failure = Failure(None, _one_line(event.message or "no reason given"), run_id, entry.timestamp)
    return failure


def _of_step(event: dg.DagsterEvent, run_id: str, at: float, name: str) -> Failure:
    data = event.step_failure_data
    asset = (event.step_key or "").removeprefix(f"{name}__").replace("__", "/")
    given = data.user_failure_data
    if given is None:
        cause = data.error
        while cause is not None and cause.cause is not None:
            cause = cause.cause
        return Failure(asset, _one_line(cause.message if cause else "no reason given"), run_id, at)
    metadata = given.metadata
    error = metadata["error"].value if "error" in metadata else None
    return Failure(
        asset, _one_line(given.description or "no reason given"), run_id, at,
        error if isinstance(error, str) else None, numbers(metadata),
    )  # fmt: skip


def _one_line(text: str) -> str:
    return shorten(" ".join(text.split()), 600)


def numbers(metadata: Any) -> dict[str, int]:
    """Return the whole numbers of an event's metadata."""
    return {
        name: value.value
        for name, value in metadata.items()
        if isinstance(value, dg.IntMetadataValue) and value.value is not None
    }
