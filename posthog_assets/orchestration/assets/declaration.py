"""What the five assets share: how they are declared, how they fail, how they say how far they are.

Belongs here: Dagster conventions of this project. Does not belong here: anything about a single asset.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg
import pyarrow as pa

from posthog_assets.core.errors import PosthogAssetsError
from posthog_assets.core.schemas import DESCRIPTION
from posthog_assets.core.sections import Section
from posthog_assets.pipeline.config.import_file import Import

#: A step waits as long as it was asked to, this often and at most so many seconds: it holds a place in Dagster's queue
#: and pools meanwhile. Longer waits are left to the sensor that runs failed days again.
_WAITS: Final = 3
_LONGEST_WAIT: Final = 900.0

#: Progress appears in the run log this often, seconds.
_LOG_EVERY = 5.0


#: Dagster opens its plots at the last days of the import, which a backfill reaches last.
_PLOTS: Final = """

Plots: under *Metadata*, choose *Plots* and then *Events* for the days that were imported last. *Partitions* plots only
the last days of the import."""


def declare(
    imp: Import,
    name: str,
    partitions: dg.DailyPartitionsDefinition,
    *,
    description: str,
    code_version: str,
    kinds: set[str],
    upstream: str | None = None,
    schema: pa.Schema | None = None,
    checks: dict[str, str] | None = None,
    **more: Any,
) -> Callable[..., dg.AssetsDefinition]:
    """Return the asset decorator for `<import>/<name>`; *checks* maps in-step check names to descriptions."""
    key = dg.AssetKey([imp.name, name])
    metadata = {"dagster/column_schema": column_schema(schema)} if schema else {}
    checks = checks or {}
    return dg.asset(
        key=key,
        deps=[dg.AssetKey([imp.raw_owner if upstream == "raw_export" else imp.name, upstream])] if upstream else [],
        partitions_def=partitions,
        group_name=imp.name,
        description=description + _PLOTS,
        kinds=kinds,
        metadata=metadata,
        owners=imp.owners,
        code_version=code_version,
        check_specs=[dg.AssetCheckSpec(check, asset=key, description=text) for check, text in checks.items()],
        **more,
    )


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """Return what Dagster's *Columns* shows: names, types, and what each column means."""
    return dg.TableSchema(
        [
            dg.TableColumn(field.name, str(field.type), (field.metadata or {}).get(DESCRIPTION, b"").decode() or None)
            for field in schema
        ]
    )


def version_of(code: str, *settings: Section) -> str:
    """Return the code version of an asset that *settings* shape too: where they change, its days show as unsynced."""
    text = "".join(section.model_dump_json(exclude_defaults=True) for section in settings)
    return f"{code}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def day_of(context: dg.AssetExecutionContext) -> date:
    return date.fromisoformat(context.partition_key)


@contextmanager
def explained(metadata: Callable[[], dict[str, Any]] = dict) -> Iterator[None]:
    """Turn our own errors into a Dagster failure that says what to do, with *metadata* of the state reached.

    Only what trying again can cure is left to the asset's retry policy; where the server asked to be left
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
    """Says in the run log, every few seconds, how far a step is, how fast, and how long it will take.

    Called with (done, in all), or with what is done alone where the total is unknown.
    """

    def __init__(self, context: dg.AssetExecutionContext, what: str, unit: str = "events") -> None:
        self._log = context.log
        self._what = what
        self._unit = unit
        self._began = self._last = time.monotonic()

    def __call__(self, done: int, total: int | None = None) -> None:
        now = time.monotonic()
        if now - self._last < _LOG_EVERY or not done:
            return
        self._last = now
        rate = done / (now - self._began)
        if not total:
            self._log.info(f"{self._what}: {done:,} {self._unit}, {rate:,.0f}/s")
            return
        self._log.info(
            f"{self._what}: {done:,} of {total:,} {self._unit} ({100 * done / total:.0f} %), {rate:,.0f}/s, "
            f"{(total - done) / rate:,.0f} s left"
        )


#: Tried again by Dagster only where an error says that this can help.
RETRIES = functools.partial(dg.RetryPolicy, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
