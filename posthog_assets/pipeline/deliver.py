"""What `imported_batches` does to one day.

Belongs here: delivering, and the state it leaves. Does not belong here: how events are sent (`destination`).
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow.parquet as pq

from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.core.schemas import FETCHED_AT_KEY, GROUP_TYPES_KEY, MAPPING_KEY, REJECTED, STAGED_KEY
from posthog_assets.destination.delivery import deliver
from posthog_assets.destination.encoder import Stamp
from posthog_assets.destination.ledger import Ledger
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.rejected import rejections
from posthog_assets.pipeline.day_state.settled import Settled, settle
from posthog_assets.pipeline.hot_loop import hot_loop
from posthog_assets.pipeline.import_group_types import check_day_group_types
from posthog_assets.pipeline.upstream import events_in, open_upstream
from posthog_assets.storage.layout import events_path, rejected_path
from posthog_assets.storage.parquet import ParquetSink, digest_of


def deliver_day(
    imp: Import,
    day: Partition,
    report: DeliveryReport | None = None,
    progress: Callable[[DeliveryReport], None] = lambda report: None,
) -> DeliveryReport:
    """Send what is owed of *day*; *report* is filled on the way and tells the state where this raises."""
    store, report = imp.store, report if report is not None else DeliveryReport()
    with (
        store.lock("imported_batches", key_of(day)) as holding,
        hot_loop(),
        # One open file for all of it: what another run makes of the day meanwhile is a file of its own.
        open_upstream(store, events_path(day), "posthog_events", imp.name, day) as file,
    ):
        ledger = Ledger(store, key_of(day), holding)
        digest = digest_of(file)
        noted = {name: text.decode() for name, text in (pq.read_metadata(file).metadata or {}).items()}
        version = noted.get(MAPPING_KEY)
        marker = imp.mapping.markers.mapping

        def check() -> None:
            report.group_types_unchecked = check_day_group_types(imp, day, noted.get(GROUP_TYPES_KEY))

        deliver(
            imp.destination,
            ledger,
            lambda columns, names=None: events_in(file, columns, names),
            report=report,
            progress=progress,
            shared=store,
            mapping=version,
            stamp=Stamp(marker, version) if marker and version else None,
            before=check,
        )
        with store.atomic_write(rejected_path(day)) as path, ParquetSink(path, REJECTED) as sink:
            for batch in rejections(store, day, ledger, file):
                sink.write(batch)
        holding.confirm()
        if report.owed:
            Settled.forget(store, day)
        else:
            settle(
                store, day, events=digest, staged=noted.get(STAGED_KEY), fetched_at=noted.get(FETCHED_AT_KEY),
                sent=report.sent > 0,
            )  # fmt: skip
        return report
