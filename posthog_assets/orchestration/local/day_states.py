"""How the days of an import stand: what is materialized, failed, missing, behind, and what is owed.

Belongs here: putting Dagster's record and the ledger together. Does not belong here: what is printed (`status`), what
is run (`backfill`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import dagster as dg

from posthog_assets.core.errors import PosthogAssetsError
from posthog_assets.mapping.version import RULES
from posthog_assets.orchestration.assets.metadata import LACKS_USERS, RULES_ENTRY
from posthog_assets.orchestration.failures import Failure, failure_of, numbers
from posthog_assets.orchestration.history import State, read_states
from posthog_assets.orchestration.local.project import ImportJob
from posthog_assets.pipeline.column_types import read_column_types
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.people import PEOPLE
from posthog_assets.pipeline.config.rejects import Lost, Rejects, Verdict
from posthog_assets.pipeline.day_state.other_days import far_from_day
from posthog_assets.pipeline.day_state.owed import owed_events, was_reopened

_DELIVERY: Final = "imported_batches"
_EVENTS: Final = "posthog_events"
_STAGED: Final = "staged_events"

#: Days whose ledgers are read at the same time, and most numbers in one of SQLite's questions.
_AT_ONCE: Final = 4
_MOST: Final = 500


@dataclass(frozen=True)
class Made:
    """What was made of the records of days, as far as a person should look at it."""

    #: By day whose events are made: records that should be events and are not.
    lost: dict[date, Lost] = field(default_factory=dict)
    #: By day that was made of records read wrongly, as it seems: a sentence that says why.
    doubtful: dict[date, str] = field(default_factory=dict)

    def too_many_lost(self, rejects: Rejects) -> dict[date, Lost]:
        """Return the days of which more records are rejected than *rejects* allows."""
        return {day: lost for day, lost in self.lost.items() if rejects.judge(lost) is Verdict.FAIL}

    @property
    def without_events(self) -> list[date]:
        """The days that have no record that should be an event."""
        return [day for day, lost in self.lost.items() if not lost.records]


@dataclass(frozen=True)
class Standing:
    """The days of an import, as they stand."""

    job: ImportJob
    days: list[date]
    states: dict[str, dict[date, State]]
    #: By asset: days it was materialized before what it is made from.
    behind: dict[str, set[date]]
    #: Events without a verdict; a day whose events are not stored yet is not in it.
    owed: dict[date, int]
    #: Days whose events other settings of mapping and dialect made; those of the events' asset are behind too.
    other_mapping: frozenset[date] = frozenset()
    made: Made = field(default_factory=Made)
    #: The last day the source has something of; None where that is not known, or the import has an end.
    reach: date | None = None

    @property
    def too_many_lost(self) -> dict[date, Lost]:
        """The days of which more records are rejected than the import allows."""
        return self.made.too_many_lost(self.job.imp.rejects)

    def days_in(self, state: State) -> dict[date, list[str]]:
        """Return the days on which any asset is in *state*, and which, upstream first."""
        found = {day: [asset for asset in self.job.assets if self.states[asset][day] is state] for day in self.days}
        return {day: names for day, names in found.items() if names}

    def to_retry(self) -> dict[date, tuple[str, ...]]:
        """Return, by day, the assets that failed or owe events, and what is made from them; not days in progress."""
        busy = self.days_in(State.IN_PROGRESS)
        failed = self.days_in(State.FAILED)
        plan: dict[date, tuple[str, ...]] = {}
        for day in self.days:
            again = set(failed.get(day, ()))
            if self.owes(day):
                again.add(_DELIVERY)
            if again and day not in busy:
                plan[day] = self.job.with_downstream(again)
        return plan

    def owes(self, day: date) -> bool:
        """Whether a delivery of *day* was tried and left events without a verdict."""
        tried = self.states.get(_DELIVERY, {}).get(day, State.MISSING) is not State.MISSING
        return tried and self.owed.get(day, 0) > 0

    def to_complete(self, assets: Iterable[str]) -> list[date]:
        """Return the days on which any of *assets* is not materialized, is behind, or owes; not days in progress."""
        chosen = set(assets)
        busy = self.days_in(State.IN_PROGRESS)
        return [
            day
            for day in self.days
            if day not in busy
            and (
                any(self.states[a][day] is not State.MATERIALIZED or day in self.behind[a] for a in chosen)
                or (_DELIVERY in chosen and self.owed.get(day, 0) > 0)
            )
        ]


def read_day_states(instance: dg.DagsterInstance, job: ImportJob, days: list[date]) -> Standing:
    """Return how *days* stand; reads the ledger of a day only where Dagster's record does not say all is settled.

    Of an import without an end, days that the source does not reach yet and that were never tried are left out.
    """
    states = {asset: _states(instance, job, asset, days) for asset in job.assets}
    reach = reach_of(job.imp, days)
    if reach is not None:
        tried = {day for known in states.values() for day, state in known.items() if state is not State.MISSING}
        days = [day for day in days if day <= reach or day in tried]
        states = {asset: {day: known[day] for day in days} for asset, known in states.items()}
    behind = _behind(instance, job, days)
    other_mapping = _by_other_mapping(instance, job, days)
    if _STAGED in behind:
        behind[_STAGED] |= set(days) & _by_other_kinds(job)
    if _EVENTS in behind:
        behind[_EVENTS] |= other_mapping
    owed: dict[date, int] = {}
    if _DELIVERY in job.assets:
        claimed = _claimed(instance, job, days)
        settled = {
            day
            for day in days
            if states[_DELIVERY][day] is State.MATERIALIZED
            and day not in behind[_DELIVERY]
            and claimed.get(day) == 0
        }  # fmt: skip
        started = [day for day in days if any(states[asset][day] is not State.MISSING for asset in job.assets)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            counts = pool.map(lambda day: _owed(job, day, settled=day in settled), started)
            owed = {day: count for day, count in zip(started, counts, strict=True) if count is not None}
    return Standing(job, days, states, behind, owed, other_mapping, read_made(instance, job, days), reach)


def reach_of(imp: Import, days: list[date]) -> date | None:
    """Return the last of *days* that the source of an import without an end reaches; None where that is not known."""
    if imp.end_date or not days or imp.raw_owner != imp.name:
        return None
    try:
        return imp.source.reach(days[0], days[-1])
    except PosthogAssetsError:
        # Nothing is known now; what is wrong with the source is said by `check`, and by the day that is tried.
        return None


def failures(instance: dg.DagsterInstance, standing: Standing) -> dict[date, Failure]:
    """Return, by day, why its first failed asset failed."""
    found: dict[date, Failure] = {}
    for day, assets in standing.days_in(State.FAILED).items():
        found[day] = _failure(instance, standing.job, assets[0], day)
    return found


def _failure(instance: dg.DagsterInstance, job: ImportJob, asset: str, day: date) -> Failure:
    planned = instance.get_latest_planned_materialization_info(job.key(asset), day.isoformat())
    if planned is None:
        return Failure(asset, "Dagster has no record of the run any more", "")
    found = failure_of(instance, planned.run_id, job.imp.name)
    return found or Failure(asset, "Dagster's record does not say why", planned.run_id)


def _states(instance: dg.DagsterInstance, job: ImportJob, asset: str, days: list[date]) -> dict[date, State]:
    found = read_states(instance, job.key(asset), [day.isoformat() for day in days], job.partitions)
    return {date.fromisoformat(key): state for key, state in found.items()}


def _behind(instance: dg.DagsterInstance, job: ImportJob, days: list[date]) -> dict[str, set[date]]:
    newest = {asset: _newest(instance, job, asset) for asset in job.assets}
    return {
        asset: {
            day
            for day in days
            if (own := newest[asset].get(day.isoformat())) is not None
            and any(newest[parent].get(day.isoformat(), 0) > own for parent in job.parents(asset))
        }
        for asset in job.assets
    }


def _by_other_mapping(instance: dg.DagsterInstance, job: ImportJob, days: list[date]) -> frozenset[date]:
    """Return the days whose events were made by other settings than the import file's of now.

    Days that other rules of this package made are not among them: an upgrade puts no day back, and `changes` says what
    it would do.
    """
    present = job.imp.mapping_version
    newest = _newest(instance, job, _EVENTS) if _EVENTS in job.assets else {}
    ids = [newest[day.isoformat()] for day in days if day.isoformat() in newest]
    found: set[date] = set()
    for start in range(0, len(ids), _MOST):
        some = ids[start : start + _MOST]
        wanted = dg.AssetRecordsFilter(job.key(_EVENTS), storage_ids=some)
        for record in instance.fetch_materializations(wanted, limit=len(some)).records:
            event = record.asset_materialization
            if event and event.partition:
                said = {name: event.metadata[name].value for name in ("mapping", RULES_ENTRY) if name in event.metadata}
                if said.get(RULES_ENTRY) == str(RULES) and said.get("mapping") != present:
                    found.add(date.fromisoformat(event.partition))
    return frozenset(found)


def _by_other_kinds(job: ImportJob) -> frozenset[date]:
    """Return the days that were staged before another one showed that a column of CSV holds text."""
    try:
        keys = read_column_types(job.imp.store).behind
    except PosthogAssetsError:
        # The day that is staged next says what is wrong.
        return frozenset()
    # Profiles are staged beside the days.
    return frozenset(date.fromisoformat(key) for key in keys if key != PEOPLE)


def _newest(instance: dg.DagsterInstance, job: ImportJob, asset: str) -> dict[str, int]:
    """Return, by partition, the number of the newest materialization in Dagster's event log."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    return dict(instance.get_latest_storage_id_by_partition(job.key(asset), kind))


def _claimed(instance: dg.DagsterInstance, job: ImportJob, days: list[date]) -> dict[date, int]:
    """Return what the newest materialization of the delivery says is owed."""
    return {
        day: owed
        for day, metadata in _metadata(instance, job, _DELIVERY, days)
        if (owed := numbers(metadata).get("owed")) is not None
    }


def _metadata(
    instance: dg.DagsterInstance, job: ImportJob, asset: str, days: Iterable[date]
) -> Iterator[tuple[date, Mapping[str, Any]]]:
    """Yield the metadata of the newest materialization of each of *days* that has one."""
    newest = _newest(instance, job, asset)
    ids = [newest[day.isoformat()] for day in days if day.isoformat() in newest]
    for start in range(0, len(ids), _MOST):
        some = ids[start : start + _MOST]
        wanted = dg.AssetRecordsFilter(job.key(asset), storage_ids=some)
        for record in instance.fetch_materializations(wanted, limit=len(some)).records:
            event = record.asset_materialization
            if event and event.partition:
                yield date.fromisoformat(event.partition), event.metadata


def read_made(instance: dg.DagsterInstance, job: ImportJob, days: Iterable[date]) -> Made:
    """Return what was made of the records of those of *days* whose events are made."""
    lost: dict[date, Lost] = {}
    doubtful: dict[date, str] = {}
    for day, metadata in _metadata(instance, job, _EVENTS, days) if _EVENTS in job.assets else ():
        counts = numbers(metadata)
        if "lost" in counts:
            lost[day] = Lost(counts.get("records", 0), counts["lost"], _text(metadata, "lost_because"))
        first, last = _text(metadata, "first_event"), _text(metadata, "last_event")
        far = far_from_day(day, datetime.fromisoformat(first), datetime.fromisoformat(last)) if first and last else None
        if words := [some for some in (far, _text(metadata, LACKS_USERS)) if some]:
            doubtful[day] = ". ".join(words)
    return Made(dict(sorted(lost.items())), dict(sorted(doubtful.items())))


def _text(metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    return value.value if isinstance(value, dg.TextMetadataValue) else None


def _owed(job: ImportJob, day: date, *, settled: bool) -> int | None:
    return 0 if settled and not was_reopened(job.imp.store, day) else owed_events(job.imp.store, day)
