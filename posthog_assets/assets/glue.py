"""What the five assets share: how they are declared, how they fail, how they report.

Belongs here: Dagster conventions of this project. Does not belong here: anything about a single asset.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg
import pyarrow as pa

from posthog_assets.errors import PosthogAssetsError
from posthog_assets.import_file import Import

#: A step waits as long as it was asked to, this often and at most so many seconds: it holds a place in Dagster's queue
#: and pools meanwhile. Longer waits are left to the sensor that runs failed days again.
_WAITS: Final = 3
_LONGEST_WAIT: Final = 900.0

#: Progress appears in the run log this often, seconds.
_LOG_EVERY = 5.0


def declare(
    imp: Import,
    name: str,
    partitions: dg.DailyPartitionsDefinition,
    *,
    description: str,
    kinds: set[str],
    upstream: str | None = None,
    schema: pa.Schema | None = None,
    checks: dict[str, str] | None = None,
    **more: Any,
) -> Callable[..., dg.AssetsDefinition]:
    """Return the asset decorator for `<import>/<name>`; *checks* maps in-step check names to descriptions."""
    key = dg.AssetKey([imp.name, name])
    metadata = {"dagster/column_schema": column_schema(schema)} if schema else {}
    return dg.asset(
        key=key,
        deps=[dg.AssetKey([imp.name, upstream])] if upstream else [],
        partitions_def=partitions,
        group_name=imp.name,
        description=description,
        kinds=kinds,
        metadata=metadata,
        code_version="1",
        check_specs=[dg.AssetCheckSpec(check, asset=key, description=text) for check, text in (checks or {}).items()],
        **more,
    )


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(field.name, str(field.type)) for field in schema])


def day_of(context: dg.AssetExecutionContext) -> date:
    return date.fromisoformat(context.partition_key)


@contextmanager
def explained(metadata: Callable[[], dict[str, Any]] = dict) -> Iterator[None]:
    """Turn our own errors into a Dagster failure that says what to do, with *metadata* of the state reached.

    Only what trying again can cure is left to the asset's retry policy; where whoever did not answer asked to be left
    alone for a while, the step is tried again after that.
    """
    try:
        yield
    except PosthogAssetsError as error:
        asked = error.retry_after if error.temporary else None
        failure = dg.Failure(
            description=str(error),
            metadata={"error": type(error).__name__} | ({"retry_after": asked} if asked else {}) | metadata(),
            allow_retries=error.temporary and not asked,
        )
        if asked and asked <= _LONGEST_WAIT:
            raise dg.RetryRequested(max_retries=_WAITS, seconds_to_wait=asked) from failure
        raise failure from None


def heartbeat(imp: Import) -> dg.FreshnessPolicy | None:
    """Return when an import that keeps going counts as stale, None for one that has an end or no trigger.

    It only says that *some* day was finished lately: Dagster does not look at which. That no day was left behind is
    what the check `no_partition_left_failed` says.
    """
    automation = imp.automation
    if imp.end_date:
        return None
    if automation.stale_after_hours:
        return dg.FreshnessPolicy.time_window(timedelta(hours=automation.stale_after_hours))
    if automation.new_data.enabled or automation.daily.enabled:
        return dg.FreshnessPolicy.time_window(timedelta(hours=36))
    return None


class Progress:
    """Says in the run log, every few seconds, how far a step is, how fast, and how long it will take."""

    def __init__(self, context: dg.AssetExecutionContext, what: str) -> None:
        self._log = context.log
        self._what = what
        self._began = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < _LOG_EVERY or not done:
            return
        self._last = now
        rate = done / (now - self._began)
        left = (total - done) / rate if rate else 0
        share = 100 * done / total if total else 100
        self._log.info(f"{self._what}: {done:,} of {total:,} ({share:.0f} %), {rate:,.0f}/s, {left:,.0f} s left")


def table(counts: dict[str, int], name: str = "name", number: str = "events") -> dg.TableMetadataValue:
    """Return counts as a table for the UI, largest first (at most 100 rows)."""
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:100]
    return dg.MetadataValue.table(
        [dg.TableRecord({name: key, number: count}) for key, count in rows],
        dg.TableSchema([dg.TableColumn(name, "string"), dg.TableColumn(number, "int")]),
    )


def rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0


#: Tried again by Dagster only where an error says that this can help.
RETRIES = functools.partial(dg.RetryPolicy, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
