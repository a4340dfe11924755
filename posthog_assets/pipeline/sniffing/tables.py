"""Looking at a database: which of its tables hold events, and their columns.

Belongs here: choosing a table, sampling it, and the draft of an import of it. Does not belong here: asking databases
(`sources.sql.source`), or which column is what (`columns`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects import load_dialect
from posthog_assets.pipeline.sniffing.columns import Roles, guess_roles
from posthog_assets.pipeline.sniffing.days import Times
from posthog_assets.pipeline.sniffing.dialect_section import columns_of, of_newest_edition
from posthog_assets.pipeline.sniffing.draft import Draft
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding
from posthog_assets.sources.sql.database import Database, Table

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQLITE: Final = b"SQLite format 3\0"
_ROWS: Final = 500
#: Most tables that are looked into.
_TABLES: Final = 100

#: What files are reached by, and no database.
_FILE_PROTOCOLS: Final = frozenset(
    {"file", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "http", "https", "memory", "python-package", "r2",
     "oss", "sftp", "ssh", "ftp", "hdfs", "webhdfs", "github", "zip", "tar"}
)  # fmt: skip


def database_url(where: str) -> str | None:
    """Return the SQLAlchemy URL of the database that *where* names: a URL, or a SQLite file; None where it is none."""
    protocol, sign, _ = where.partition("://")
    if sign:
        return where if protocol.partition("+")[0] not in _FILE_PROTOCOLS and "::" not in where else None
    with suppress(OSError), Path(where).expanduser().open("rb") as file:
        if file.read(len(_SQLITE)) == _SQLITE:
            return f"sqlite:///{Path(where).expanduser().resolve()}"
    return None


@dataclass(frozen=True)
class _Candidate:
    table: Table
    records: list[dict[str, Any]]
    roles: Roles
    rows: int
    points: float

    @property
    def path(self) -> str:
        return f"{self.table.schema}.{self.table.name}" if self.table.schema else self.table.name


def sniff_database(name: str, url: str, table: str | None = None, columns: Mapping[str, str] | None = None) -> Draft:
    """Return the draft of an import of the table at *url* that looks most like events, or of *table*.

    *columns* are those that are known already, by role: `{"user_id": "who"}`.

    Raises:
        ImportFileError: no table has a time and somebody who did something.
        SourceRefused, SourceUnavailable: the database does not answer.
    """
    database = Database(url)
    with database.connect() as connection:
        tables = [database.table(connection, path) for path in ([table] if table else _names(connection))]
        candidates = [found for one in tables if (found := _look(database, connection, one, columns or {}))]
        # A database compares times as they are: those that only a pattern reads are no days to it.
        usable = [c for c in candidates if c.roles.is_usable and not c.roles.time_format]
        usable.sort(key=lambda c: c.points, reverse=True)
        if not usable:
            raise ImportFileError(
                f"{database.shown}: no table of {', '.join(t.name for t in tables[:20]) or 'none'} has both a time and "
                "a user; name them (--table TABLE --column timestamp=COLUMN --column user_id=COLUMN), or join tables "
                "in a query: posthog-assets init NAME --source sql gives a template"
            )
        best = usable[0]
        first, last = _span(database, connection, best)
    return _draft(name, url, best, [c.path for c in usable[1:4]], first, last)


def _names(connection: Connection) -> list[str]:
    import sqlalchemy as sa

    inspector = sa.inspect(connection)
    return [*inspector.get_table_names(), *inspector.get_view_names()][:_TABLES]


def _rows_of(table: Table) -> Any:
    import sqlalchemy as sa

    return sa.table(table.name, *[sa.column(name) for name in table.columns], schema=table.schema)


def _look(database: Database, connection: Connection, table: Table, columns: Mapping[str, str]) -> _Candidate | None:
    import sqlalchemy as sa

    rows = _rows_of(table)
    names, batches = database.read(connection, sa.select(rows).limit(_ROWS), {})
    records = [dict(zip(names, row, strict=True)) for batch in batches for row in batch]
    if not records or not set(columns.values()) <= set(names):
        return None
    _, counted = database.read(connection, sa.select(sa.func.count()).select_from(rows), {})
    count = next(row[0] for batch in counted for row in batch)
    roles = guess_roles(records, columns)
    return _Candidate(table, records, roles, count, _points(table, roles, count))


def _points(table: Table, roles: Roles, rows: int) -> float:
    """Return how much a table looks like one of events: certain roles, an event's name, more rows."""
    weights = {Certainty.SURE: 3.0, Certainty.LIKELY: 2.0, Certainty.UNSURE: 1.0}
    found = sum(weights[finding.certainty] for finding in roles.findings if finding.value)
    named = 2.0 if re.search(r"event|log|activit|track|hit|action", table.name, re.IGNORECASE) else 0.0
    return found + named + min(len(str(rows)), 9) * 0.3


def _span(database: Database, connection: Connection, found: _Candidate) -> tuple[date | None, date | None]:
    """Return the days of the first and the last row, as the dialect reads them."""
    import sqlalchemy as sa

    column: Any = sa.column(found.roles.timestamp or "")
    statement = sa.select(sa.func.min(column), sa.func.max(column)).select_from(_rows_of(found.table))
    _, batches = database.read(connection, statement, {})
    edges = [value for batch in batches for row in batch for value in row]
    times = Times()
    records = [found.records[0] | {found.roles.timestamp or "": value} for value in edges if value is not None]
    times.add(load_dialect(_dialect(found)), RecordChunk(range(1, len(records) + 1), records))
    return (min(times.days), max(times.days)) if times.days else (None, None)


def _dialect(found: _Candidate) -> dict[str, Any]:
    roles = found.roles
    event = {"column": roles.event} if roles.event else {"value": _snake(found.table.name)}
    section = {"type": "columns", "event": event} | columns_of(roles)
    # The zone of a database's times is a setting of the source: it reads days by it.
    section["timestamp"] = {"column": roles.timestamp}
    return section


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _draft(name: str, url: str, found: _Candidate, others: list[str], first: date | None, last: date | None) -> Draft:
    section = _dialect(found)
    source: dict[str, Any] = {
        "type": "sql",
        "url": "{{ env.POSTHOG_ASSETS_SOURCE_URL }}" if urlsplit(url).password else url,
        "table": found.path,
        "day_column": found.roles.timestamp,
    }
    words = f"{found.rows:,} rows" + (f"; other tables with a time and a user: {', '.join(others)}" if others else "")
    certainty = Certainty.LIKELY if others else Certainty.SURE
    findings = [Finding("source.table", found.path, certainty, words)]
    findings += [one for one in found.roles.findings if not one.setting.startswith("dialect.timestamp.")]
    if not found.roles.is_zoned:
        source["timezone"] = "UTC"
        findings.append(Finding("source.timezone", "UTC", Certainty.UNSURE, "the times do not say their zone"))
    if not found.roles.event:
        value = section["event"]["value"]
        findings.append(
            Finding("dialect.event", value, Certainty.UNSURE, "no column names the event: the table's name")
        )
    times = Times()
    times.add(load_dialect(section), RecordChunk(range(1, len(found.records) + 1), [dict(r) for r in found.records]))
    draft = Draft({"name": name}, findings, found.records, False, first, last, max(times.days, default=None),
                  times.read, times.rejected)  # fmt: skip
    if first:
        draft.attributes["start_date"] = first.isoformat()
    if last:
        draft.attributes["end_date"] = last.isoformat()
    draft.attributes |= {"source": source, "dialect": of_newest_edition(section)}
    return draft
