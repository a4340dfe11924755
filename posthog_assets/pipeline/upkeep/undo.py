"""Taking an import back: which events PostHog would have to delete, and forgetting that they were acknowledged.

Belongs here: the events concerned, the query that names them, and the ledger afterwards. Does not belong here: deleting
(PostHog does, when it is given the query), printing (`cli.undo`).

PostHog deletes events by a HogQL query that returns one column of uuids. The query here goes by the markers that every
imported event carries, so it finds what PostHog has, also where the stored files were pruned. The file of uuids comes
from the ledger, so it names what PostHog acknowledged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import IO, Final

import numpy as np
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import pack, unpack
from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.hogql import quoted
from posthog_assets.destination.entries import Known
from posthog_assets.destination.landing import count_marked
from posthog_assets.destination.ledger import BatchFacts, Ledger
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.settled import Settled
from posthog_assets.pipeline.upstream import stored_events
from posthog_assets.storage.layout import events_path

#: The name of events whose stored file was pruned: the ledger knows their uuids only.
UNNAMED: Final = "(posthog_events is pruned)"

#: What the ledger says of an event that was taken back.
WHY: Final = "taken back by posthog-assets undo"

_PIECE: Final = 100_000


@dataclass
class Undo:
    """What of an import would be taken back; `events` counts acknowledged events by name."""

    days: list[date] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.events.total()


def plan_undo(imp: Import, days: Iterable[date], uuids: IO[str] | None = None) -> Undo:
    """Return the acknowledged events of *days*, and write their uuids to *uuids*, one a line."""
    undo = Undo()
    for day in days:
        known = Ledger(imp.store, day.isoformat()).load()
        acknowledged = np.flatnonzero(known.acknowledged)
        if not len(acknowledged):
            continue
        undo.days.append(day)
        undo.events += _names(imp, day, known)
        if uuids is not None:
            for start in range(0, len(acknowledged), _PIECE):
                taken = known.taken_back(acknowledged[start : start + _PIECE], WHY)
                uuids.writelines(f"{uuid}\n" for uuid in unpack(taken.uuids))
    return undo


def _names(imp: Import, day: date, known: Known) -> Counter[str]:
    """Count the acknowledged events of *day* by name; those that are no event of the stored file have none."""
    counts: Counter[str] = Counter()
    if imp.store.exists(events_path(day)):
        for batch in stored_events(imp.store, day, ["uuid", "event", "reject_reason"]):
            sent = batch.filter(pc.is_null(batch["reject_reason"]))
            taken = known.are_acknowledged(known.find(pack(sent["uuid"])))
            for item in pc.value_counts(sent["event"].filter(taken)).to_pylist():
                counts[item["values"]] += item["counts"]
    if unnamed := int(known.acknowledged.sum()) - counts.total():
        counts[UNNAMED] += unnamed
    return counts


def deletion_query(imp: Import, days: list[date]) -> str:
    """Return the HogQL query whose one column is the uuids of the events of *days* that PostHog has.

    It names the days one by one unless they are consecutive, and bounds the time where the ledger knows it, so that
    PostHog need not read its whole table.

    Raises:
        ImportFileError: there is no day.
    """
    if not days:
        raise ImportFileError(f"{imp.name} has no acknowledged events on these days")
    markers = imp.mapping.markers
    day = f"properties.{markers.day}"
    first, last = min(days), max(days)
    if (last - first).days + 1 == len(days):
        which = f"{day} >= {quoted(first.isoformat())} AND {day} <= {quoted(last.isoformat())}"
    else:
        which = f"{day} IN ({', '.join(quoted(item.isoformat()) for item in sorted(days))})"
    conditions = [f"properties.{markers.import_name} = {quoted(imp.name)}", which, *_span(imp, days)]
    return "SELECT uuid FROM events\nWHERE " + "\n  AND ".join(conditions) + "\n"


def _span(imp: Import, days: list[date]) -> Iterator[str]:
    """Yield the bounds of the timestamps that the ledgers of *days* hold."""
    facts = [facts for day in days for _, facts in Ledger(imp.store, day.isoformat()).batch_facts()]
    firsts = [item.first_timestamp for item in facts if item.first_timestamp]
    lasts = [item.last_timestamp for item in facts if item.last_timestamp]
    if firsts and lasts:
        first = min(map(datetime.fromisoformat, firsts)).astimezone(UTC)
        last = max(map(datetime.fromisoformat, lasts)).astimezone(UTC) + timedelta(seconds=1)
        yield f"timestamp >= toDateTime64({quoted(f'{first:%Y-%m-%d %H:%M:%S}')}, 6, 'UTC')"
        yield f"timestamp <= toDateTime64({quoted(f'{last:%Y-%m-%d %H:%M:%S}')}, 6, 'UTC')"


def still_there(imp: Import, days: Iterable[date]) -> int:
    """Return how many events of *days* PostHog has now, by the markers they carry.

    Raises:
        VerificationError: PostHog refused the query, or did not answer.
    """
    client = QueryClient(imp.destination)
    return sum(sum(count_marked(client, imp.name, day.isoformat(), imp.mapping.markers).values()) for day in days)


def mark_undone(imp: Import, days: Iterable[date]) -> int:
    """Make the ledger hold every acknowledged event of *days* as owed; return how many.

    The next run of `imported_batches` sends them again, under the same uuids.
    """
    marked = 0
    for day in days:
        with imp.store.lock("imported_batches", day.isoformat()) as holding:
            ledger = Ledger(imp.store, day.isoformat(), holding)
            known = ledger.load()
            where = np.flatnonzero(known.acknowledged)
            if not len(where):
                continue
            # Before the ledger: a note that outlived its events would let pruning delete what must be sent again.
            Settled.forget(imp.store, day)
            now = datetime.now(UTC).isoformat()
            # What one file holds is read at once. After a run that was killed in between, the next one does the rest.
            for start in range(0, len(where), _PIECE):
                taken = known.taken_back(where[start : start + _PIECE], WHY)
                count = len(taken)
                ledger.append(taken, BatchFacts(now, "undo", "", 0, count, 0, 0, count, 0, 0, None, None))
            ledger.summarize()
            marked += len(where)
    return marked
