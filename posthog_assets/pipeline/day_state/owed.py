"""How many events of a day still wait for PostHog's verdict, by what is stored.

Belongs here: counting them without sending anything. Does not belong here: deciding what is sent
(`destination.delivery`).
"""

from __future__ import annotations

from datetime import date

import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import pack
from posthog_assets.core.partitions import key_of
from posthog_assets.destination.ledger import REOPENING, Ledger
from posthog_assets.storage.layout import events_path, ledger_path
from posthog_assets.storage.parquet import read_batches, read_column
from posthog_assets.storage.store import Store


def owed_events(store: Store, day: date) -> int | None:
    """Return how many events of *day* have no verdict; None where the day's events are not stored, or were pruned.

    An event whose content has changed since its verdict does not count, though the next delivery sends it again.
    """
    if not store.exists(events_path(day)):
        return None
    known = Ledger(store, key_of(day)).load()
    settled = known.acknowledged | known.dropped
    owed = 0
    with store.peek(events_path(day)) as file:
        for batch in read_batches(file, ["uuid", "reject_reason"]):
            uuids = batch["uuid"].filter(pc.is_null(batch["reject_reason"]))
            owed += len(uuids)
            if len(known):
                where = known.find(pack(uuids))
                owed -= int(settled[where[where >= 0]].sum())
    return owed


def was_reopened(store: Store, day: date) -> bool:
    """Whether the newest entry of the day's ledger takes verdicts back, or there is no ledger at all."""
    path = ledger_path(day)
    if not store.exists(path):
        return True
    with store.peek(path) as file:
        newest = [piece[-1].as_py() for piece in read_column(file, "protocol") if len(piece)][-1:]
    return bool(newest) and newest[0] in REOPENING
