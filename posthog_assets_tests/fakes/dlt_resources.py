"""Resources as readers of dlt write them: one of dlt's own `rest_api`, some of their own.

Belongs here: functions that `source: dlt` names. Does not belong here: tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import dlt
import pyarrow as pa
from dlt.sources.rest_api import rest_api_resources


@dlt.resource
def orders(start: datetime, end: datetime, count: int = 3, fail: bool = False, api_key: str = "") -> Iterator[Any]:
    """Yield orders, one hour apart, in pages of two."""
    rows = [
        {"id": number, "at": start + timedelta(hours=number), "user": "ann", "total": Decimal("9.50")}
        for number in range(count)
    ]
    for at in range(0, count, 2):
        yield rows[at : at + 2]
    if fail:
        raise ConnectionError(f"the vendor hung up on {api_key}")


def tables(day: date) -> Iterator[Any]:
    """Yield an Arrow table."""
    yield pa.table({"id": [1, 2], "at": [f"{day}T10:00:00Z"] * 2, "user": ["ann", "bob"]})


def by_rest_api(start: int, end: int, base_url: str, token: str) -> Any:
    """Return dlt's own resource of the stand-in API."""
    (resource,) = rest_api_resources(
        {
            "client": {"base_url": base_url, "auth": {"type": "bearer", "token": token}},
            "resources": [
                {
                    "name": "records",
                    "endpoint": {
                        "path": "records",
                        "params": {"from": start, "to": end},
                        "data_selector": "data",
                        "paginator": {"type": "cursor", "cursor_path": "next_place", "cursor_param": "place"},
                    },
                }
            ],
        }
    )
    return resource


NOT_A_FUNCTION = 3


@dlt.resource
def many(start: datetime) -> Iterator[Any]:
    """Yield 20,000 rows of 500 bytes, a hundred at a time."""
    for page in range(200):
        yield [{"id": 100 * page + number, "at": start, "note": "x" * 440} for number in range(100)]
