"""What a day would become in PostHog, before anything is sent.

Belongs here: samples before and after, totals, and what sending would take. Does not belong here: how it is shown
(`markdown`, `page`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.errors import VerificationError, shorten
from posthog_assets.core.rejection import reason_head
from posthog_assets.destination.encoder import encode
from posthog_assets.destination.known_group_types import group_type_flaws, known_group_types
from posthog_assets.destination.known_names import known_events, known_properties
from posthog_assets.destination.preflight import TRIES
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.rejected import rejections
from posthog_assets.pipeline.preview.dry_run import DryRun, dry_run
from posthog_assets.pipeline.preview.field_changes import Difference, differences
from posthog_assets.pipeline.upstream import stored_events
from posthog_assets.sources.formats import Unreadable, read_records
from posthog_assets.sources.manifest import RawExport

#: A raw record's place: name of the part, and line or row in it.
Place = tuple[str, int]

#: Property names listed at most.
_NAMES: Final = 200


@dataclass(frozen=True, slots=True)
class Sample:
    """One raw record and what it becomes: an event, or a reason why not. Derived events have no record."""

    place: Place | None
    before: Any
    after: dict[str, Any] | None
    reason: str | None
    #: The field that holds the time of the event, where the dialect names one.
    time_column: str | None = None

    @property
    def differences(self) -> list[Difference]:
        """What became of each field of the record; nothing where it is rejected."""
        return differences(self.before or {}, self.after, self.time_column) if self.after else []


@dataclass(frozen=True, slots=True)
class NewNames:
    """Names the project does not know yet; `unseen` says why they were not looked up."""

    events: list[str] = field(default_factory=list)
    properties: list[str] = field(default_factory=list)
    project_is_empty: bool = False
    unseen: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A day, numbers of events; bytes are before compression."""

    import_name: str
    day: date
    mapping: str
    raw_records: int
    derived: int
    events_by_name: dict[str, int]
    rejected: dict[str, int]
    #: Path of a field the dialect does not know -> records with a value in it; sentence -> records it is true of.
    fields_left_out: dict[str, int]
    remarks: dict[str, int]
    #: Records without an id that are like another of the day, and kept.
    kept_repeats: int
    shared_devices: int
    refused_merges: int
    #: Acknowledged already: as they are, changed (replaced), moved (would be duplicated).
    settled: int
    changed: int
    moved: int
    to_send: int
    requests: int
    bytes: int
    #: How long sending takes at least at the configured rates, seconds; None: no rate is configured.
    seconds_at_rate: float | None
    #: Events PostHog bills as live ones.
    billable: int
    new_names: NewNames
    #: Why the project should not get the group types that the events name.
    group_types: list[str]
    #: Why the project was not asked for its group types though the events name some and there is a personal key; empty
    #: where it was.
    group_types_unseen: str
    samples: list[Sample]


def preview_day(imp: Import, day: date, samples: int = 10) -> Preview:
    """Return what *day* would become, with at most *samples* records; nothing is sent.

    The samples show as many different event names and reasons as there is room for, in the order of the records.

    Raises: as `dry_run`.
    """
    with dry_run(imp, day) as run:
        report = run.delivery()
        size, events, properties = _measure(run)
        settled = report.already_acknowledged + report.dropped
        to_send = report.events - settled
        destination = imp.destination
        requests = max(math.ceil(to_send / destination.batch_events), math.ceil(size / destination.batch_bytes))
        group_types, group_types_unseen = _group_types(imp, run.mapping.group_types)
        rejected = dict(Counter(run.staging.reject_reasons) + Counter(run.mapping.reject_reasons))
        return Preview(
            import_name=imp.name,
            day=day,
            mapping=imp.mapping_version,
            raw_records=run.staging.raw_records,
            derived=run.mapping.derived,
            events_by_name=run.mapping.events_by_name,
            rejected=rejected,
            fields_left_out=run.staging.notes.fields_left_out,
            remarks=run.staging.notes.remarks | run.mapping.cautions,
            kept_repeats=run.mapping.kept_repeats,
            shared_devices=run.mapping.shared_devices,
            refused_merges=run.mapping.refused_merges,
            settled=settled,
            changed=report.changed,
            moved=report.moved,
            to_send=to_send,
            requests=requests if to_send else 0,
            bytes=size,
            seconds_at_rate=_seconds(to_send, requests, destination.events_per_second,
                                     destination.max_requests_per_second),
            billable=report.recent if destination.historical_migration else to_send,
            new_names=_new_names(imp, events, properties),
            group_types=group_types,
            group_types_unseen=group_types_unseen,
            samples=_samples(run, samples),
        )  # fmt: skip


def _measure(run: DryRun) -> tuple[int, set[str], set[str]]:
    """Return the bytes as JSON of the day's events that can be sent, their names, and those of their properties."""
    size, events, names = 0, set[str](), set[str]()
    for batch in stored_events(run.imp.store, run.day):
        sendable = batch.filter(pc.is_null(batch["reject_reason"]))
        if sendable.num_rows:
            size += int(encode(sendable).sizes.sum())
            events.update(pc.unique(sendable["event"]).to_pylist())
            for text in sendable["properties"].to_pylist():
                names.update(orjson.loads(text))
    return size, events, names


def _seconds(events: int, requests: int, by_events: float | None, by_requests: float | None) -> float | None:
    times = [count / rate for count, rate in ((events, by_events), (requests, by_requests)) if rate]
    return max(times) if times else None


def _new_names(imp: Import, events: set[str], properties: set[str]) -> NewNames:
    if not imp.destination.verifies:
        return NewNames(unseen="destination.personal_api_key and project_id are not set")
    markers = imp.mapping.markers
    try:
        client = QueryClient(imp.destination, TRIES)
        known = known_properties(client, imp.name, markers)
        if known is None:
            return NewNames(project_is_empty=True)
        old = known_events(client, events, imp.name, markers)
    except VerificationError as error:
        return NewNames(unseen=shorten(str(error), 400))
    new = sorted(properties - known - set(markers.names))
    return NewNames(sorted(events - old), new[:_NAMES])


def _group_types(imp: Import, named: list[str]) -> tuple[list[str], str]:
    """Return why the project should not get the group types that are *named*, and why it was not asked for its own."""
    destination, known, unseen = imp.destination, None, ""
    if named and destination.verifies:
        try:
            known = known_group_types(QueryClient(destination, TRIES))
            unseen = "" if known is not None else "this PostHog cannot be asked for its group types"
        except VerificationError as error:
            unseen = shorten(str(error), 400)
    return list(group_type_flaws(named, known, destination.new_group_types)), unseen


def _samples(run: DryRun, wanted: int) -> list[Sample]:
    chosen = _spread(list(_candidates(run, wanted)), wanted)
    raw = _raw_records(run, {place for place, _, _ in chosen if place})
    column = run.imp.dialect.time_column
    return [Sample(place, raw.get(place) if place else None, after, reason, column) for place, after, reason in chosen]


_Candidate = tuple[Place | None, dict[str, Any] | None, str | None]


def _candidates(run: DryRun, wanted: int) -> Iterator[_Candidate]:
    """Yield events and rejected records, of each name and each reason at most *wanted*."""
    seen: dict[tuple[str, str], int] = {}
    for batch in stored_events(run.imp.store, run.day):
        for row in _first_of_each(batch.filter(pc.is_null(batch["reject_reason"])), "event", wanted, seen):
            properties = orjson.loads(row["properties"])
            after = {key: row[key] for key in ("uuid", "event", "distinct_id")}
            after |= {"timestamp": row["timestamp"].isoformat(), "properties": properties}
            yield _place(row), after, None
    for batch in rejections(run.imp.store, run.day):
        ours = batch.filter(pc.not_equal(batch["asset"], "imported_batches"))
        for row in _first_of_each(ours, "reason", wanted, seen):
            yield _place(row), None, row["reason"]


def _first_of_each(
    batch: pa.RecordBatch, column: str, wanted: int, seen: dict[tuple[str, str], int]
) -> Iterator[dict[str, Any]]:
    indices = []
    for index, value in enumerate(batch[column].to_pylist()):
        # A reason's head is what reasons have in common.
        key = column, reason_head(value) if column == "reason" else value
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= wanted:
            indices.append(index)
    yield from batch.take(pa.array(indices, pa.int64())).to_pylist()


def _place(row: dict[str, Any]) -> Place | None:
    return (row["raw_part"], row["raw_line"]) if row["raw_part"] else None


def _spread(candidates: list[_Candidate], wanted: int) -> list[_Candidate]:
    """Return *wanted* candidates: the first of every name and reason, then the second of each, and so on."""
    rounds: dict[tuple[str, str], int] = {}
    ranked = []
    for number, candidate in enumerate(candidates):
        _, after, reason = candidate
        key = ("event", after["event"]) if after else ("reason", reason_head(reason or ""))
        rounds[key] = rounds.get(key, 0) + 1
        ranked.append((rounds[key], number))
    return [candidates[number] for number in sorted(number for _, number in sorted(ranked)[:wanted])]


def _raw_records(run: DryRun, places: set[Place]) -> dict[Place, Any]:
    """Return the raw records at *places*; an unreadable one as its reason."""
    found: dict[Place, Any] = {}
    raw = RawExport(run.imp.store, run.day)
    for part in raw.parts():
        left = {line for name, line in places if name == part.name}
        if not left:
            continue
        with raw.open(part) as file:
            for chunk in read_records(file, part.framing, part.name):
                for line, record in zip(chunk.positions, chunk.records, strict=True):
                    if line in left:
                        found[part.name, line] = record.reason if isinstance(record, Unreadable) else record
                        left.discard(line)
                if not left:
                    break
    return found
