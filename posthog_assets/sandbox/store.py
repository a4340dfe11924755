"""The events of PostHog, its ingestion warnings and group types, in embedded ClickHouse.

Belongs here: the schema, inserting, querying. Does not belong here: HTTP, or PostHog's rules for an event.

ClickHouse runs inside this process and takes one statement at a time, so all access goes through one lock.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.sandbox.rules import GROUP_TYPES

#: Engine, partitioning and order are PostHog's own: posthog/models/event/sql.py. Rows equal in team, day, event,
#: distinct_id and uuid are one event, of which the last to arrive stays.
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS events (
    uuid UUID,
    event String,
    properties String,
    timestamp DateTime64(6, 'UTC'),
    team_id Int64,
    distinct_id String,
    created_at DateTime64(6, 'UTC'),
    historical_migration Bool,
    _timestamp DateTime64(6, 'UTC')
) ENGINE = ReplacingMergeTree(_timestamp)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (team_id, toDate(timestamp), event, cityHash64(distinct_id), cityHash64(uuid))
"""

#: As posthog/models/ingestion_warnings/sql.py has them; *details* is a JSON object as text.
_WARNINGS: Final = """
CREATE TABLE IF NOT EXISTS ingestion_warnings (
    team_id Int64,
    source String,
    type String,
    details String,
    timestamp DateTime64(6, 'UTC')
) ENGINE = MergeTree
ORDER BY (team_id, timestamp)
"""

_GROUP_TYPES: Final = """
CREATE TABLE IF NOT EXISTS group_type_mappings (group_type String, group_type_index Int64)
ENGINE = MergeTree
ORDER BY group_type_index
"""

_ROWS: Final = pa.schema(
    [
        pa.field("uuid", pa.string()),
        pa.field("event", pa.string()),
        pa.field("properties", pa.string()),
        pa.field("timestamp", pa.int64()),
        pa.field("distinct_id", pa.string()),
        pa.field("historical_migration", pa.bool_()),
        pa.field("arrived", pa.int64()),
    ]
)

_TEAM: Final = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One event as it is stored; *timestamp* in µs since 1970, UTC; *properties* a JSON object as text."""

    uuid: str
    event: str
    distinct_id: str
    timestamp: int
    properties: str
    historical_migration: bool = False


@dataclass(frozen=True, slots=True)
class IngestionWarning:
    """What ingestion says of an event that it drops or changes."""

    type: str
    details: dict[str, Any]


class QueryFailed(Exception):
    """ClickHouse refused a statement."""


class EventStore:
    """The events of one project."""

    def __init__(self, folder: Path) -> None:
        """Open, or create, the table below *folder*."""
        from chdb import session

        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = threading.Lock()
        self._session = session.Session(str(folder))
        # ClickHouse reads new rows from there; beside them, so that a killed process leaves nothing elsewhere.
        self._incoming = folder.absolute() / "incoming.parquet"
        self._new_rows = f"file({literal(str(self._incoming))}, Parquet)"
        self._last = 0
        self._run("CREATE DATABASE IF NOT EXISTS posthog")
        self._run("USE posthog")
        self._run(_TABLE)
        self._run(_WARNINGS)
        self._run(_GROUP_TYPES)
        kinds = self.query("SELECT group_type FROM group_type_mappings ORDER BY group_type_index")
        self._group_types: list[str] = [row[0] for row in kinds["data"]]

    def insert(self, rows: list[Row]) -> None:
        """Store rows; when this returns, queries see them and a killed process does not lose them."""
        if not rows:
            return
        with self._lock:
            # Strictly growing, so that of two arrivals the later one replaces the earlier.
            first = max(self._last + 1, time.time_ns() // 1000)
            self._last = first + len(rows)
            table = pa.table(
                [
                    [row.uuid for row in rows],
                    [row.event for row in rows],
                    [row.properties for row in rows],
                    [row.timestamp for row in rows],
                    [row.distinct_id for row in rows],
                    [row.historical_migration for row in rows],
                    list(range(first, self._last)),
                ],
                schema=_ROWS,
            )
            pq.write_table(table, self._incoming, compression="none", use_dictionary=False, write_statistics=False)
            self._run(
                "INSERT INTO events SELECT toUUID(uuid), event, properties, "
                f"fromUnixTimestamp64Micro(timestamp, 'UTC'), {_TEAM}, distinct_id, "
                "fromUnixTimestamp64Micro(arrived, 'UTC'), historical_migration, "
                f"fromUnixTimestamp64Micro(arrived, 'UTC') FROM {self._new_rows}"
            )

    def warn(self, warnings: list[IngestionWarning]) -> None:
        """Store what ingestion says of events."""
        if not warnings:
            return
        with self._lock:
            now = time.time_ns() // 1000
            table = pa.table(
                {
                    "type": [warning.type for warning in warnings],
                    "details": [orjson.dumps(warning.details).decode() for warning in warnings],
                    "timestamp": [now] * len(warnings),
                }
            )
            pq.write_table(table, self._incoming)
            self._run(
                f"INSERT INTO ingestion_warnings SELECT {_TEAM}, 'plugin-server', type, details, "
                f"fromUnixTimestamp64Micro(timestamp, 'UTC') FROM {self._new_rows}"
            )

    def add_group_types(self, kinds: list[str]) -> None:
        """Give every new group type a slot while there are some; what comes later gets none, without an error."""
        with self._lock:
            known = len(self._group_types)
            new = [kind for kind in dict.fromkeys(kinds) if kind not in self._group_types][: GROUP_TYPES - known]
            if not new:
                return
            pq.write_table(pa.table({"kind": new, "place": range(known, known + len(new))}), self._incoming)
            self._run(f"INSERT INTO group_type_mappings SELECT kind, place FROM {self._new_rows}")
            self._group_types += new

    def query(self, sql: str) -> dict[str, Any]:
        """Return the answer to a SELECT as ClickHouse's JSONCompact; raises QueryFailed."""
        settings = " SETTINGS readonly = 1, max_execution_time = 60, output_format_json_quote_64bit_integers = 0"
        with self._lock:
            return orjson.loads(self._run(sql + settings, "JSONCompact"))

    def count(self) -> tuple[int, int]:
        """Return the number of rows, and of events after de-duplication."""
        rows = self.query("SELECT (SELECT count() FROM events), (SELECT count() FROM events FINAL)")["data"][0]
        return int(rows[0]), int(rows[1])

    def final(self) -> list[list[Any]]:
        """Return (uuid, event, distinct_id, µs since 1970, properties text) of every event, de-duplicated."""
        return self.query(
            "SELECT toString(uuid), event, distinct_id, toUnixTimestamp64Micro(timestamp), properties "
            "FROM events FINAL ORDER BY timestamp, uuid"
        )["data"]

    def close(self) -> None:
        self._session.close()
        self._incoming.unlink(missing_ok=True)

    def _run(self, sql: str, shape: str = "CSV") -> bytes:
        try:
            return self._session.query(sql, shape).bytes()
        except RuntimeError as error:
            raise QueryFailed(str(error)) from error


def literal(text: str) -> str:
    """Return a text as ClickHouse writes it; half of a surrogate pair is in no stored one, and is a question mark."""
    clean = text.encode("utf-8", "replace").decode()
    return "'" + clean.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'"
