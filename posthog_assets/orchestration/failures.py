"""Why a run failed.

Belongs here: reading it from Dagster's events. Does not belong here: what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg
from dagster import DagsterEventType, DagsterInstance

from posthog_assets.core.errors import is_temporary, shorten

_FAILED: Final = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}


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
    #: Seconds for which the server that refused asked not to be called; 0 where it did not ask.
    retry_after: float = 0.0

    @property
    def missing(self) -> int:
        """Events that PostHog acknowledged and a query did not find."""
        return self.counts.get("missing", 0)

    @property
    def waits_for_a_person(self) -> bool:
        """Whether trying again without changing anything fails again, by the class of the error."""
        return self.error is not None and is_temporary(self.error) is False


def failures_of(instance: DagsterInstance, run_id: str, name: str) -> list[Failure]:
    """Return why a run of import *name* failed, by step, the earliest first; empty where its log does not say.

    A failure of the run as a whole is only among them where no step has failed.
    """
    steps, whole = [], []
    for entry in instance.all_logs(run_id, of_type=_FAILED):
        event = entry.dagster_event
        if event and event.event_type == DagsterEventType.STEP_FAILURE:
            steps.append(_of_step(event, run_id, entry.timestamp, name))
        elif event:
            whole.append(Failure(None, _one_line(event.message or "no reason given"), run_id, entry.timestamp))
    return steps or whole[-1:]


def failure_of(instance: DagsterInstance, run_id: str, name: str) -> Failure | None:
    """Return the first reason why a run of import *name* failed; None where its log does not say."""
    return next(iter(failures_of(instance, run_id, name)), None)


def _of_step(event: dg.DagsterEvent, run_id: str, at: float, name: str) -> Failure:
    data = event.step_failure_data
    asset = (event.step_key or "").removeprefix(f"{name}__").replace("__", "/")
    given = data.user_failure_data
    if given is None:
        cause = data.error
        while cause is not None and cause.cause is not None:
            cause = cause.cause
        return Failure(asset, _one_line(cause.message if cause else "no reason given"), run_id, at)
    error, pause = _value(given.metadata, "error"), _value(given.metadata, "retry_after")
    return Failure(
        asset,
        _one_line(given.description or "no reason given"),
        run_id,
        at,
        error if isinstance(error, str) else None,
        numbers(given.metadata),
        pause if isinstance(pause, int | float) else 0.0,
    )


def _value(metadata: Any, name: str) -> Any:
    return metadata[name].value if name in metadata else None


def _one_line(text: str) -> str:
    return shorten(" ".join(text.split()), 600)


def numbers(metadata: Any) -> dict[str, int]:
    """Return the whole numbers of an event's metadata."""
    return {
        name: value.value
        for name, value in metadata.items()
        if isinstance(value, dg.IntMetadataValue) and value.value is not None
    }
