"""Rows of `posthog_events`, as the tests of the destination write them.

Belongs here: rows and batches of them. Does not belong here: what is expected of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from posthog_assets.core.schemas import POSTHOG_EVENTS

START: Final = datetime(2024, 3, 1, tzinfo=UTC)


def uuid_of(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def posthog_event(number: int, **changes: Any) -> dict[str, Any]:
    """Return the row of an event, a second after the one before it."""
    base = {
        "uuid": uuid_of(number),
        "event": "edit",
        "distinct_id": f"user-{number}",
        "timestamp": START + timedelta(seconds=number),
        "properties": f'{{"n":{number}}}',
        "source_id": str(number),
    }
    return base | changes


def batch_of(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=POSTHOG_EVENTS)
