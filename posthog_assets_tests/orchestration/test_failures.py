"""Why a run failed, as Dagster's event log has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from posthog_assets.orchestration.failures import Failure, failure_of, failures_of

DAYS = dg.DailyPartitionsDefinition("2024-03-01", end_date="2024-03-03", timezone="UTC")


def run(instance: dg.DagsterInstance, step: Callable[[], None], day: str = "2024-03-01") -> dg.DagsterRun:
    """Run an asset `shop/raw_export` that does *step*."""

    @dg.asset(name="raw_export", key_prefix="shop", partitions_def=DAYS)
    def raw_export() -> None:
        step()

    result = dg.materialize([raw_export], partition_key=day, instance=instance, raise_on_error=False)
    found = instance.get_run_by_id(result.run_id)
    assert found
    return found


def refuse() -> None:
    metadata: dict[str, Any] = {"error": "SourceUnavailable", "retry_after": 7.5, "missing": 3, "path": "exports"}
    raise dg.Failure("please\nwait", metadata=metadata, allow_retries=False)


def test_a_failure_of_ours_keeps_its_class_its_counts_and_the_pause_that_was_asked_for() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        failed = run(instance, refuse)
        found = failure_of(instance, failed.run_id, "shop")

    assert found is not None
    assert (found.asset, found.words, found.error) == ("raw_export", "please wait", "SourceUnavailable")
    assert (found.missing, found.retry_after, found.waits_for_a_person) == (3, 7.5, False)
    assert (found.counts, found.run_id) == ({"missing": 3}, failed.run_id)
    assert found.at is not None
    assert abs(datetime.now(UTC).timestamp() - found.at) < 600


def test_any_other_error_is_described_by_its_innermost_cause() -> None:
    def divide() -> None:
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError as error:
            raise RuntimeError("the step broke") from error

    with dg.DagsterInstance.ephemeral() as instance:
        found = failure_of(instance, run(instance, divide).run_id, "shop")

    assert found is not None
    assert found.words == "ZeroDivisionError: division by zero"
    assert (found.error, found.counts, found.waits_for_a_person) == (None, {}, False)


def test_a_run_without_a_failure_in_its_log_has_none() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert failures_of(instance, run(instance, lambda: None).run_id, "shop") == []


@pytest.mark.parametrize(
    ("error", "waits"),
    [("ImportFileError", True), ("SourceUnavailable", False), ("SomebodyElses", False), (None, False)],
)
def test_what_trying_again_cannot_cure_waits_for_a_person(error: str | None, waits: bool) -> None:
    assert Failure("raw_export", "no", "run", error=error).waits_for_a_person is waits
