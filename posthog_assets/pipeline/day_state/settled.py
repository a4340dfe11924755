"""The note that a day is imported, and from which files: what may be deleted without losing anything.

Belongs here: `imported_batches/<day>/settled.json`. Does not belong here: deciding that a day is settled
(`deliver`), or what follows from it (`prune`).

The note names the files by their content. Where one of them was written again since, the note does not apply to it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import orjson

from posthog_assets.core.partitions import Partition
from posthog_assets.storage.layout import settled_path
from posthog_assets.storage.store import Store


@dataclass(frozen=True, slots=True)
class Settled:
    """A day of which PostHog has answered for every event; times are ISO 8601 in UTC.

    `fetched_at` is the raw export's, `staged` and `events` are digests of the stored files; None where a file that an
    older version made does not tell. `landed_at` is when a query found all of it.
    """

    events: str
    staged: str | None
    fetched_at: str | None
    acknowledged_at: str
    landed_at: str | None = None

    @classmethod
    def read(cls, store: Store, day: Partition) -> Settled | None:
        """Return the day's note, None where it is not settled."""
        try:
            return cls(**orjson.loads(store.read_bytes(settled_path(day))))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, store: Store, day: Partition) -> None:
        store.write_bytes(settled_path(day), orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))

    @staticmethod
    def forget(store: Store, day: Partition) -> None:
        """Take the note back: something of the day is owed."""
        store.delete(settled_path(day))


def settle(
    store: Store, day: Partition, *, events: str, staged: str | None, fetched_at: str | None, sent: bool
) -> None:
    """Note that all *events* have their verdict; the time stays that of an earlier note unless something was *sent*."""
    before = Settled.read(store, day)
    note = Settled(events, staged, fetched_at, datetime.now(UTC).isoformat())
    if before is not None and before.events == events and not sent:
        note = replace(note, acknowledged_at=before.acknowledged_at, landed_at=before.landed_at)
    if note != before:
        note.write(store, day)


def note_landed(store: Store, day: Partition) -> None:
    """Note that a query found everything of a settled day; the first time counts."""
    before = Settled.read(store, day)
    if before is not None and before.landed_at is None:
        replace(before, landed_at=datetime.now(UTC).isoformat()).write(store, day)
