"""A whole day: mapped, sorted, without repeated uuids.

Belongs here: what needs to see all rows of a partition. Does not belong here: a single row (`events`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import pack
from posthog_assets.core.rejection import reason_head
from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.core.threads import ahead, applied
from posthog_assets.core.uuid_sorter import UuidSorter, halves
from posthog_assets.mapping.cautions import Cautions
from posthog_assets.mapping.events import EventMapper
from posthog_assets.mapping.groups import GroupStates
from posthog_assets.mapping.identity import Identities
from posthog_assets.mapping.repeated_uuids import repeated_uuids
from posthog_assets.mapping.repeats import Distinguisher
from posthog_assets.mapping.sessions import Rows, SessionWriter
from posthog_assets.mapping.sorting import Floors, Sorter, in_windows, with_before


class Sink(Protocol):
    """Where batches go."""

    def write(self, batch: pa.RecordBatch) -> None: ...


@dataclass
class MappingReport:
    """What mapping did: staged - staged_rejected + derived = rows; instants are UTC."""

    staged: int = 0
    staged_rejected: int = 0
    #: Of the staged rows that are rejected, by the head of the reason.
    staged_reasons: dict[str, int] = field(default_factory=dict)
    derived: int = 0
    rows: int = 0
    rejected: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)
    #: Events whose source id belonged to another payload already.
    reused_ids: int = 0
    #: Records without an id that are like an earlier one of the day, and kept (`mapping.repeats`).
    kept_repeats: int = 0
    #: Anonymous ids seen with several users (`mapping.shared_devices`).
    shared_devices: int = 0
    #: Links PostHog will not make, because the anonymous id is an identified person's by then.
    refused_merges: int = 0
    #: Events with a session of PostHog's; None where sessions are off.
    in_sessions: int | None = None
    #: Whether the staged events of the day before were there to find where sessions begin that cross midnight.
    knows_day_before: bool = True
    #: Whether what all days together know of the events was there; None where the mapping does not ask.
    knows_history: bool | None = None
    events_by_name: dict[str, int] = field(default_factory=dict)
    #: Group types that events name which are sent, in the order of the alphabet.
    group_types: list[str] = field(default_factory=list)
    #: What PostHog will change or not show, a sentence each, and how many events it is about (`mapping.cautions`).
    cautions: dict[str, int] = field(default_factory=dict)
    #: Why all events are of anonymous persons, where the import file names a user's column that no record has.
    lacks_users: str | None = None
    first: datetime | None = None
    last: datetime | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Around:
    """Staged rows of a day, and of the day before where they are there; of each at least the columns of sessions.

    `lacks_day_before` says that there is such a day, but not its rows.
    """

    day: Rows
    before: Rows | None = None
    lacks_day_before: bool = False


@dataclass(frozen=True)
class Survey:
    """What is known of the staged rows before they are mapped.

    `floors` says how far back rows reach that are still to come, None where too many would have to wait for them;
    `columns` reads some columns of all rows.
    """

    floors: Floors | None
    columns: Callable[[list[str]], Iterable[pa.RecordBatch]]


class _Repeats(Exception):
    def __init__(self, uuids: np.ndarray) -> None:
        super().__init__()
        self.uuids = uuids


def map_day(
    batches: Callable[[], Iterable[pa.RecordBatch]],
    mapper: EventMapper,
    open_sink: Callable[[], AbstractContextManager[Sink]],
    spill: Path,
    *,
    ordered: bool,
    around: Around | None = None,
    survey: Survey | None = None,
) -> MappingReport:
    """Map the staged *batches* of a day into a sink, oldest first.

    Memory does not grow with the day: what does not arrive in order is sorted through files in *spill*. Where uuids
    repeat, which is rare, the day is read a second time to tell them apart; where a step must know which ids the day
    links, it is read once before. *ordered* says that the staged rows are in the order of time. *around*
    has what sessions are found in, by default the day alone. With a *survey* rows that are nearly in order are not
    spilled: those that wait for earlier ones stay in memory.
    """
    began = time.monotonic()
    if mapper.steps and mapper.steps.needs_links:
        for batch in batches():
            mapper.steps.learn(batch)
    if mapper.sessions is not None:
        _learn_sessions(mapper, mapper.sessions, around or Around(batches), spill)
    repeated: np.ndarray | None = None
    for attempt in (1, 2):
        folder = spill / str(attempt)
        folder.mkdir()
        try:
            with open_sink() as sink:
                report = _pass(batches(), mapper, sink, folder, ordered, repeated, survey)
            break
        except _Repeats as again:
            repeated = again.uuids
    if mapper.sessions is not None:
        report.in_sessions = mapper.sessions.events
    report.knows_day_before = around is None or not around.lacks_day_before
    report.seconds = time.monotonic() - began
    return report


def _learn_sessions(mapper: EventMapper, sessions: SessionWriter, around: Around, spill: Path) -> None:
    def identified(rows: Rows) -> Rows:
        return lambda: (mapper.identified(batch) for batch in rows())

    folder = spill / "sessions"
    folder.mkdir()
    sessions.learn(identified(around.day), identified(around.before) if around.before else None, folder)


def _pass(
    batches: Iterable[pa.RecordBatch],
    mapper: EventMapper,
    sink: Sink,
    folder: Path,
    ordered: bool,
    repeated: np.ndarray | None,
    survey: Survey | None,
) -> MappingReport:
    report = MappingReport()
    cautions = Cautions()
    distinct = None
    if repeated is not None:
        distinct = Distinguisher(
            mapper.namespace, repeated, collapse=mapper.collapses_repeats, replace=mapper.replaces_versions
        )
        adds = mapper.steps or mapper.adds_context
        batches = _remembered(batches, mapper, distinct) if adds else batches
    # Sessions and the user's own function see the rows as they always did.
    if survey and survey.floors and not (distinct or mapper.moves_time or mapper.sessions):
        mapped = _in_windows(batches, mapper, report, survey, survey.floors)
    elif distinct or not ordered or mapper.may_identify or mapper.may_describe_groups or mapper.moves_time:
        mapped = _sorted(batches, mapper, report, folder, distinct)
    else:
        mapped = _mapped(batches, mapper, report)
    with ExitStack() as stack:
        spool = stack.enter_context(UuidSorter(folder / "uuids", [])) if distinct is None else None
        for batch in mapped:
            if spool is not None:
                # What a step rejects counts: its uuid must not go to another record because of a step.
                counts_all = mapper.steps or not _has_rejects(batch)
                counted = batch if counts_all else batch.filter(pc.is_null(batch["reject_reason"]))
                spool.add(*halves(pack(counted["uuid"])))
            elif distinct is not None:
                batch = distinct.apply(batch)
            if mapper.first_events is not None:
                with_firsts = mapper.first_events.add(batch)
                report.derived += len(with_firsts) - len(batch)
                batch = with_firsts
            sink.write(batch)
            cautions.add(batch, _count(report, batch))
            if mapper.names_groups:
                mapper.group_types.add(batch)
        if spool is not None and len(again := repeated_uuids(spool)):
            raise _Repeats(again)
    report.reused_ids = distinct.reused_ids if distinct else 0
    report.kept_repeats = distinct.kept_repeats if distinct else 0
    report.group_types, report.cautions = sorted(mapper.group_types.names), cautions.found()
    return report


def _in_windows(
    batches: Iterable[pa.RecordBatch], mapper: EventMapper, report: MappingReport, survey: Survey, floors: Floors
) -> Iterator[pa.RecordBatch]:
    """Yield what `_sorted` does, of rows that are put in order before they are mapped: they are smaller then."""
    derived = _derived(mapper, report, survey)
    ordered = in_windows(_readable(batches, report), floors)
    mapped = applied(lambda staged: mapper.map(mapper.prepared(staged)), ordered, 1 if mapper.steps else 2, "map")
    yield from mapped if derived is None else ahead(with_before(mapped, derived), "merge")


def _derived(mapper: EventMapper, report: MappingReport, survey: Survey) -> pa.RecordBatch | None:
    """Return the events that come from several rows, oldest first, having read the columns they come from."""
    people, groups = Identities(), GroupStates()
    columns = ["timestamp", "reject_reason"]
    columns += ["user_id", "anonymous_id", "kind"] if mapper.may_identify else []
    columns += ["group_set"] if mapper.may_describe_groups else []
    if len(columns) == 2:
        return None
    for batch in _readable(survey.columns(columns), MappingReport()):
        timely = mapper.with_storable_times(batch)
        if mapper.may_identify:
            people.add(mapper.identified(timely))
        if mapper.may_describe_groups:
            groups.add(timely)
    return _made_of(people, groups, mapper, report)


def _made_of(
    people: Identities, groups: GroupStates, mapper: EventMapper, report: MappingReport
) -> pa.RecordBatch | None:
    links, states = people.links(mapper.shared_devices), mapper.with_other_types(groups.states())
    report.shared_devices, report.refused_merges = links.shared_devices, links.refused
    if not links.pairs and not states:
        return None
    derived = mapper.derived(links.pairs, states)
    report.derived = derived.num_rows
    return derived


def _sorted(
    batches: Iterable[pa.RecordBatch],
    mapper: EventMapper,
    report: MappingReport,
    folder: Path,
    distinct: Distinguisher | None,
) -> Iterator[pa.RecordBatch]:
    """Yield the events of all batches and those that are derived from them, oldest first."""
    people, groups = Identities(), GroupStates()
    with Sorter(folder, POSTHOG_EVENTS) as sorter:
        for batch in _mapped(batches, mapper, report, people, groups, distinct):
            sorter.add(batch)
        derived = _made_of(people, groups, mapper, report)
        if derived is not None:
            if distinct:
                distinct.survey(derived)
            sorter.add_before(derived)
        yield from ahead(sorter.sorted_batches(), "merge")


def _mapped(
    batches: Iterable[pa.RecordBatch],
    mapper: EventMapper,
    report: MappingReport,
    people: Identities | None = None,
    groups: GroupStates | None = None,
    distinct: Distinguisher | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the events of each batch of staged rows.

    *people* and *groups* collect what further events come from, *distinct* whose the repeated uuids are.
    """

    def made(staged: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch, pa.RecordBatch]:
        prepared = mapper.prepared(staged)
        return staged, prepared, mapper.map(prepared)

    # What users write, and what looks things up, is not asked to bear threads.
    threads = 1 if mapper.steps or mapper.moves_time else 2
    for staged, prepared, events in applied(made, _readable(batches, report), threads, "map"):
        if (mapper.may_identify and people is not None) or (mapper.may_describe_groups and groups is not None):
            timely = mapper.with_storable_times(prepared)
            if mapper.may_identify and people is not None:
                people.add(mapper.pseudonymous(timely))
            if mapper.may_describe_groups and groups is not None:
                groups.add(timely)
        if distinct is not None:
            distinct.survey(events, staged)
        yield events


def _readable(batches: Iterable[pa.RecordBatch], report: MappingReport) -> Iterator[pa.RecordBatch]:
    """Yield the staged rows that are not rejected, and count both."""
    for batch in batches:
        report.staged += batch.num_rows
        report.staged_rejected += batch.num_rows - batch["reject_reason"].null_count
        if _has_rejects(batch):
            for reason in batch["reject_reason"].drop_null().to_pylist():
                head = reason_head(reason)
                report.staged_reasons[head] = report.staged_reasons.get(head, 0) + 1
            batch = batch.filter(pc.is_null(batch["reject_reason"]))
        if batch.num_rows:
            yield batch


def _remembered(
    batches: Iterable[pa.RecordBatch], mapper: EventMapper, distinct: Distinguisher
) -> Iterator[pa.RecordBatch]:
    """Yield *batches*, telling *distinct* on the way what their events are without steps."""
    for batch in batches:
        readable = batch.filter(pc.is_null(batch["reject_reason"]))
        distinct.remember(mapper.map(mapper.prepared(readable), plain=True))
        yield batch


def _has_rejects(batch: pa.RecordBatch) -> bool:
    return batch["reject_reason"].null_count != batch.num_rows


def _count(report: MappingReport, batch: pa.RecordBatch) -> list[str]:
    """Count what is in *batch*, and return the event names in it."""
    report.rows += batch.num_rows
    names = pc.value_counts(batch["event"]).to_pylist()
    for item in names:
        report.events_by_name[item["values"]] = report.events_by_name.get(item["values"], 0) + item["counts"]
    for reason in batch["reject_reason"].drop_null().to_pylist() if _has_rejects(batch) else ():
        head = reason_head(reason)
        report.rejected += 1
        report.reject_reasons[head] = report.reject_reasons.get(head, 0) + 1
    span = pc.min_max(batch["timestamp"]).as_py()
    report.first = min(report.first or span["min"], span["min"])
    report.last = max(report.last or span["max"], span["max"])
    return [item["values"] for item in names if item["values"]]
