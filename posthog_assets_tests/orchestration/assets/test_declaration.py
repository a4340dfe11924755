"""What the assets of an import share: how they fail, when they are stale, and how they say how far they are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from posthog_assets.core.errors import ImportFileError, PosthogAssetsError, SourceUnavailable
from posthog_assets.core.schemas import DESCRIPTION
from posthog_assets.orchestration.assets import declaration
from posthog_assets.orchestration.assets.declaration import (
    Progress,
    column_schema,
    declare,
    explained,
    heartbeat,
    version_of,
)
from posthog_assets.pipeline.config.retention import Retention
from posthog_assets_tests.conftest import small_import

DAYS = dg.DailyPartitionsDefinition("2024-03-01", end_date="2024-03-11")


def failed(error: Exception) -> dg.Failure:
    with pytest.raises(dg.Failure) as raised, explained(lambda: {"sent": 7}):
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("error", "retries"),
    [
        (ImportFileError("wrong"), False),
        (SourceUnavailable("down"), True),
        # Longer than a step may hold its place: the sensor comes back for it.
        (SourceUnavailable("down", retry_after=900.5), False),
    ],
)
def test_only_what_trying_again_can_cure_is_tried_again(error: PosthogAssetsError, retries: bool) -> None:
    failure = failed(error)
    assert (failure.description, failure.allow_retries) == (str(error), retries)
    expected = {"error": type(error).__name__, "sent": 7}
    pause = {"retry_after": error.retry_after} if error.retry_after else {}
    assert {name: entry.value for name, entry in failure.metadata.items()} == expected | pause


def test_a_server_that_asks_for_a_pause_gets_exactly_this_pause() -> None:
    with pytest.raises(dg.RetryRequested) as raised, explained():
        raise SourceUnavailable("down", retry_after=900.0)
    assert (raised.value.seconds_to_wait, raised.value.max_retries) == (900.0, 3)
    assert isinstance(raised.value.__cause__, dg.Failure)


def test_an_error_that_is_none_of_ours_keeps_its_stack() -> None:
    with pytest.raises(ZeroDivisionError), explained():
        _ = 1 / 0


@pytest.mark.parametrize(
    ("changes", "hours"),
    [
        ({}, None),
        ({"automation": {"new_data": True}}, 36),
        ({"automation": {"daily": True}}, 36),
        ({"automation": {"stale_after_hours": 5}}, 5),
        ({"automation": {"new_data": True, "stale_after_hours": 5}}, 5),
        ({"automation": {"stale_after_hours": 5}, "end_date": "2024-03-02"}, None),
    ],
)
def test_an_import_that_keeps_going_is_stale_after_hours(
    changes: dict[str, Any], hours: int | None, tmp_path: Path
) -> None:
    policy = heartbeat(small_import(tmp_path, **changes))
    assert policy == (dg.FreshnessPolicy.time_window(timedelta(hours=hours)) if hours else None)


def test_a_version_changes_with_a_setting_and_not_with_a_default_that_is_written_out() -> None:
    plain, written, other = (
        version_of("3", Retention.model_validate(given)) for given in ({}, {"raw_export": "keep"}, {"raw_export": 30})
    )
    assert (plain == "3-44136fa3", plain == written, plain == other) == (True, True, False)


def test_columns_have_their_types_and_what_they_mean() -> None:
    schema = pa.schema([pa.field("at", pa.timestamp("us", "UTC"), metadata={DESCRIPTION: b"when"}), ("n", pa.int64())])
    assert [(column.name, column.type, column.description) for column in column_schema(schema).columns] == [
        ("at", "timestamp[us, tz=UTC]", "when"), ("n", "int64", None),
    ]  # fmt: skip


def test_an_asset_hangs_on_the_one_before_it_and_has_the_owners_and_checks_of_its_import(tmp_path: Path) -> None:
    imp = small_import(tmp_path, owners=["team:growth"])

    @declare(
        imp, "staged_events", DAYS, description="Rows.", code_version="1", kinds={"parquet"}, upstream="raw_export",
        checks={"all_there": "all are"},
    )  # fmt: skip
    def staged_events() -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult()

    (spec,) = staged_events.specs
    assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey(["small", "raw_export"])]
    assert (spec.key, spec.group_name, spec.owners) == (
        dg.AssetKey(["small", "staged_events"]), "small", ["team:growth"],
    )  # fmt: skip
    assert [(check.name, check.description) for check in staged_events.check_specs] == [("all_there", "all are")]
    assert (spec.description or "").startswith("Rows.\n\nPlots: ")


def test_progress_is_said_now_and_then_with_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    context: Any = SimpleNamespace(log=SimpleNamespace(info=lines.append))
    progress = Progress(context, "staged", "records")
    progress(1_000, 4_000)
    assert lines == []
    monkeypatch.setattr(declaration, "_LOG_EVERY", 0.0)
    progress(0, 4_000)
    progress(1_000, 4_000)
    progress(1_000)
    assert len(lines) == 2
    assert lines[0].startswith("staged: 1,000 of 4,000 records (25 %), ")
    assert lines[0].endswith(" s left")
    assert lines[1].startswith("staged: 1,000 records, ")
