"""Sending dropped events once more, when the cause for which PostHog dropped them is gone.

Belongs here: the ledger of a day whose drops are taken back. Does not belong here: sending (`pipeline.deliver`),
printing (`cli.release`).
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import Final

import numpy as np

from posthog_assets.core.schemas import REJECTED
from posthog_assets.destination.entries import NO_REASON
from posthog_assets.destination.ledger import BatchFacts, Ledger
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.rejected import rejections
from posthog_assets.pipeline.day_state.settled import Settled
from posthog_assets.storage.layout import rejected_path
from posthog_assets.storage.parquet import ParquetSink

#: What the ledger says of an event that was released.
WHY: Final = "dropped, and released by posthog-assets release"


def release_day(imp: Import, day: date, reason: str | None = None, *, dry_run: bool = False) -> Counter[str]:
    """Make the ledger owe every dropped event of *day* whose reason contains *reason*; return how many, by reason.

    Raises:
        PartitionBusy: the day is being delivered.
    """
    with imp.store.lock("imported_batches", day.isoformat()) as holding:
        ledger = Ledger(imp.store, day.isoformat(), holding)
        known = ledger.load()
        reasons = {index: known.detail(index) or NO_REASON for index in np.flatnonzero(known.dropped).tolist()}
        chosen = {index: words for index, words in reasons.items() if reason is None or reason in words}
        if chosen and not dry_run:
            # Before the ledger: a note that outlived its events would let pruning delete what must be sent again.
            Settled.forget(imp.store, day)
            now, count = datetime.now(UTC).isoformat(), len(chosen)
            ledger.append(
                known.taken_back(np.array(sorted(chosen)), WHY),
                BatchFacts(now, "release", "", 0, count, 0, 0, count, 0, 0, None, None),
            )
            ledger.summarize()
            with imp.store.atomic_write(rejected_path(day)) as path, ParquetSink(path, REJECTED) as sink:
                for batch in rejections(imp.store, day, ledger):
                    sink.write(batch)
    return Counter(chosen.values())
