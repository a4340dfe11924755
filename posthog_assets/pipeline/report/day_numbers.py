"""What is stored of each day, in numbers.

Belongs here: reading them; a day costs two columns of its Parquet files and its ledger. Does not belong here: what they
look like (`page`, `charts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.errors import MissingUpstream
from posthog_assets.core.partitions import key_of
from posthog_assets.core.rejection import reason_head
from posthog_assets.destination.ledger import BatchFacts, Ledger
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.rejects import Lost, Verdict
from posthog_assets.pipeline.day_state.other_days import far_from_day
from posthog_assets.pipeline.day_state.profile import span
from posthog_assets.pipeline.day_state.rejected import rejections
from posthog_assets.pipeline.upstream import events_in
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.layout import events_path, landed_path, ledger_path, staged_path
from posthog_assets.storage.parquet import read_footer, read_table

#: What it rejects was taken by the import, and not by PostHog.
_DELIVERY: Final = "imported_batches"


class DayState(StrEnum):
    """How far a day is, worst first."""

    FAILED = "failed"
    MISSING_IN_POSTHOG = "missing in PostHog"
    TOO_MANY_REJECTED = "too many rejected"
    OWED = "owed"
    NOT_IMPORTED = "not imported"
    ACKNOWLEDGED = "acknowledged"
    LANDED = "landed"


@dataclass
class DayNumbers:
    """One day; None where a step has not run. `seconds` is from PostHog's first answer to its last."""

    day: date
    raw_records: int | None = None
    staged: int | None = None
    #: Events that are to be in PostHog, by name.
    events: Counter[str] = field(default_factory=Counter)
    has_events: bool = False
    #: Rejected by us and dropped by PostHog, by the asset that says so and the head of the reason.
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    acknowledged: int = 0
    dropped: int = 0
    has_ledger: bool = False
    landed: int | None = None
    missing: int = 0
    requests: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0
    #: Why its last run failed, as Dagster has it.
    failure: str | None = None
    #: Of a day with more rejected records than the import allows: how many, and why most of them.
    too_many_rejected: str | None = None
    #: Of a day whose events are all of other days: which.
    far: str | None = None

    @property
    def owed(self) -> int:
        """Events without a verdict; needs the stored events."""
        return max(0, self.events.total() - self.acknowledged - self.dropped) if self.has_events else 0

    @property
    def why(self) -> str:
        """What a person should know of the day; empty where there is nothing."""
        return ". ".join(words for words in (self.failure, self.too_many_rejected, self.far) if words)

    @property
    def state(self) -> DayState:
        if self.failure:
            return DayState.FAILED
        if self.missing:
            return DayState.MISSING_IN_POSTHOG
        if self.too_many_rejected:
            return DayState.TOO_MANY_REJECTED
        if not self.has_ledger:
            return DayState.NOT_IMPORTED
        if self.owed:
            return DayState.OWED
        return DayState.LANDED if self.landed is not None else DayState.ACKNOWLEDGED


def numbers_of(imp: Import, days: Iterable[date], failures: dict[date, str] | None = None) -> Iterator[DayNumbers]:
    """Yield the numbers of each of *days*; *failures* are Dagster's reasons, by day."""
    for day in days:
        found = DayNumbers(day, failure=(failures or {}).get(day))
        _read_export(imp, found)
        _read_events(imp, found)
        _read_ledger(imp, found)
        _read_landed(imp, found)
        if found.has_events:
            _judge(imp, found)
        yield found


def _read_export(imp: Import, found: DayNumbers) -> None:
    with suppress(MissingUpstream):
        manifest = RawExport(imp.store, found.day).manifest()
        found.raw_records = sum(part.records for part in manifest.parts)
    if imp.store.exists(staged_path(found.day)):
        with imp.store.peek(staged_path(found.day)) as file:
            found.staged = read_footer(file).num_rows


def _read_events(imp: Import, found: DayNumbers) -> None:
    if not imp.store.exists(events_path(found.day)):
        return
    found.has_events = True
    # Two columns are a tenth of a day, which is fetched over a network.
    with imp.store.peek(events_path(found.day)) as file:
        for batch in events_in(file, ["event", "reject_reason"]):
            sent = batch["event"].filter(pc.is_null(batch["reject_reason"]))
            for item in pc.value_counts(sent).to_pylist():
                found.events[item["values"]] += item["counts"]
        file.seek(0)
        if ends := span(file):
            found.far = far_from_day(found.day, *ends)


def _judge(imp: Import, found: DayNumbers) -> None:
    """Say whether more records are rejected than the import allows."""
    counts: Counter[str] = Counter()
    for (asset, reason), count in found.rejected.items():
        counts[reason] += count if asset != _DELIVERY else 0
    lost = Lost.of(found.staged if found.staged is not None else found.events.total() + counts.total(), counts)
    if imp.rejects.judge(lost) is Verdict.FAIL:
        found.too_many_rejected = lost.words


def _read_ledger(imp: Import, found: DayNumbers) -> None:
    ledger = Ledger(imp.store, key_of(found.day))
    for batch in rejections(imp.store, found.day, ledger):
        heads = pa.array([reason_head(reason or "") for reason in batch["reason"].to_pylist()], pa.string())
        pairs = pa.RecordBatch.from_arrays([batch["asset"], heads], ["asset", "reason"])
        counts = pa.Table.from_batches([pairs]).group_by(["asset", "reason"]).aggregate([([], "count_all")])
        for item in counts.to_pylist():
            found.rejected[item["asset"], item["reason"]] += item["count_all"]
    if not ledger.batches:
        found.has_ledger = imp.store.exists(ledger_path(found.day))
        return
    found.has_ledger = True
    known = ledger.load()
    found.acknowledged, found.dropped = int(known.acknowledged.sum()), int(known.dropped.sum())
    _add_costs(found, [facts for _, facts in ledger.batch_facts()])


def _add_costs(found: DayNumbers, batches: list[BatchFacts]) -> None:
    found.requests = sum(facts.requests for facts in batches)
    found.sent_bytes = sum(facts.sent_bytes for facts in batches)
    answers = [datetime.fromisoformat(facts.answered_at) for facts in batches if facts.requests]
    found.seconds = (max(answers) - min(answers)).total_seconds() if answers else 0.0


def _read_landed(imp: Import, found: DayNumbers) -> None:
    if not imp.store.exists(landed_path(found.day)):
        return
    with imp.store.peek(landed_path(found.day)) as file:
        table = read_table(file)
    found.landed = sum(table["landed"].to_pylist())
    found.missing = sum(len(uuids or ()) for uuids in table["missing_uuids"].to_pylist())
