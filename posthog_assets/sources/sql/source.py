"""A table or a query of any database that SQLAlchemy reaches, a day at a time.

Belongs here: which rows are a day's. Does not belong here: how a day is written for a database (`day_bounds`),
connecting (`database`), how rows are kept (`parquet_rows`).

A day is one SELECT, which databases answer from one state of the table, however long it takes to read. An export that
was interrupted therefore starts the day over: parts of two reads would mix two states, and lose or repeat the rows that
moved between them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator

from posthog_assets.core.errors import ImportFileError, SourceRefused
from posthog_assets.core.sections import TimeZone
from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.sources.account import Account
from posthog_assets.sources.base import NaiveTimes, Source, ZoneStrength
from posthog_assets.sources.manifest import RawExport
from posthog_assets.sources.sql import day_bounds
from posthog_assets.sources.sql.database import Database, Table
from posthog_assets.sources.sql.day_bounds import Bounds
from posthog_assets.sources.sql.parquet_rows import write_parts

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select, TextClause


class Sql(Source):
    """Rows of *table*, or of *query*, whose time lies in the day: at or after its midnight, before the next one."""

    type: str = "sql"
    url: SecretStr | None = Field(None, description="SQLAlchemy URL, such as postgresql://user:password@host/database")
    table: str | None = Field(None, min_length=1, description="Table or view, as in schema.name")
    query: str | None = Field(
        None, min_length=1, description="SELECT with :day_start (included) and :day_end (excluded), instead of table"
    )
    day_column: str | None = Field(None, min_length=1, description="Column of the table that says the day")
    timezone: TimeZone = Field("UTC", description="Whose days they are; times of the database without a zone are in it")
    bounds: Bounds | None = Field(
        None,
        description="How the day's bounds are given: aware (with zone), naive (without), date, text (2024-03-01), "
        "digits (20240301), or epochs in s, ms, us; absent: as the type of day_column or the database suggests",
    )
    columns: list[str] | None = Field(None, min_length=1, description="Columns of the table; absent: all")
    where: str | None = Field(None, min_length=1, description="SQL condition on the table's rows, used as it stands")
    json_columns: list[str] = Field(default_factory=list, description="Columns whose text is JSON")
    updated_column: str | None = Field(
        None,
        min_length=1,
        description="Column that grows when a row changes; then the day is exported again",
    )
    late_days: int = Field(0, ge=0, description="Without updated_column: days after which a day is exported once more")
    available_after_hours: float = Field(
        0, ge=0, description="Hours after a day's end until its data is complete; absent: what the dialect says"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Passed to create_engine", repr=False)

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        if text and "://" not in text:
            raise ValueError("is no SQLAlchemy URL; write it as postgresql://user:password@host:5432/database")
        return SecretStr(text) if text else None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Sql:
        if bool(self.table) == bool(self.query):
            raise ValueError("needs either table or query")
        if self.table and not self.day_column:
            raise ValueError("table needs day_column, the column that says the day")
        if self.query:
            if self.day_column or self.columns or self.where:
                raise ValueError("day_column, columns and where belong to table; write them into the query")
            if not all(re.search(rf"(?<![:\w]):{name}\b", self.query) for name in ("day_start", "day_end")):
                raise ValueError("query must select the day: WHERE created_at >= :day_start AND created_at < :day_end")
        return self

    @property
    def holds_all_days(self) -> bool:
        """A table is counted whole with the first day; a query is asked for its days only."""
        return bool(self.table)

    @property
    def pool(self) -> str | None:
        """One pool per database: a backfill of years is not to open hundreds of connections."""
        shown = self.database().shown if self.url else "sql"
        return "".join(letter if letter.isalnum() else "_" for letter in shown)

    def secrets(self) -> tuple[str, ...]:
        return self.database().secrets() if self.url else ()

    @property
    def availability_delay(self) -> timedelta:  # type: ignore[override]
        return timedelta(hours=self.available_after_hours)

    def available_at(self, day: date) -> datetime:
        """Return the day's end in its own zone, and `available_after_hours` after it."""
        return self._midnight(day + timedelta(days=1)).astimezone(UTC) + self.availability_delay

    def settled_at(self, day: date) -> datetime:
        return self.available_at(day) + timedelta(days=self.late_days)

    def naive_times(self, column: str | None) -> NaiveTimes:
        zone = self.timezone if "timezone" in self.model_fields_set else None
        is_of_day = column is not None and column == self.day_column
        return NaiveTimes("timezone", zone, ZoneStrength.FACT if is_of_day else ZoneStrength.DEFAULT)

    def fingerprint(self, day: date) -> str | None:
        """Return the number of the day's rows and the greatest `updated_column`; without one, see `revision`."""
        revision = self.revision(day)
        if revision is None or not self.updated_column:
            return revision
        database = self.database()
        with database.connect() as connection:
            return self._state(database, connection, self._looked_up(database, connection), day)

    def reach(self, first: date, last: date) -> date | None:
        """Return the day of the table's last row that is wanted; None of a query, or where the answer is no day."""
        import sqlalchemy as sa

        if not self.table:
            return None
        database = self.database()
        with database.connect() as connection:
            table = self._looked_up(database, connection)
            assert table is not None
            rows, _ = self._rows(table)
            statement = self._wanted(sa.select(sa.func.max(rows.c[self.day_column or ""])).select_from(rows))
            _, batches = database.read(connection, statement, {})
            newest = next((row[0] for batch in batches for row in batch), None)
        if newest is None:
            return first - timedelta(days=1)
        stamps, flaws = read_timestamps([newest], self.timezone)
        if flaws:
            return None
        day = stamps[0].as_py().astimezone(ZoneInfo(self.timezone)).date()
        return min(max(day, first - timedelta(days=1)), last)

    def days_with_rows(self, days: Sequence[date]) -> list[date]:
        """Return which of *days* have a row in the table; they are asked for together, so some dozens at most."""
        import sqlalchemy as sa

        database = self.database()
        with database.connect() as connection:
            table = self._looked_up(database, connection)
            assert table is not None, "a query has no days but those that it is asked for"
            rows, wanted = self._rows(table)
            there = []
            for day in days:
                of_day = wanted.where(self._is_of_day(database, table, rows, day))
                there.append(sa.case((of_day.with_only_columns(sa.literal(1)).exists(), 1), else_=0))
            _, batches = database.read(connection, sa.select(*there), {})
            (found,) = [row for batch in batches for row in batch]
        return [day for day, is_there in zip(days, found, strict=True) if is_there]

    def sample(self, connection: Connection, day: date, rows: int) -> tuple[Any, dict[str, Any]]:
        """Return the SELECT of some rows of the table, or of the query's rows of *day*, and its parameters."""
        database = self.database()
        table = self._looked_up(database, connection)
        if table is None:
            return self._statement(database, None, day)
        return self._rows(table)[1].limit(rows), {}

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Write the day's rows; with *first_day* come those of a table that have no day at all.

        Raises:
            NoExport: the day is not complete.
            ImportFileError: the URL is missing or wrong, or its driver is not installed.
            SourceRefused: the database refuses: credentials, names, the query.
            SourceUnavailable: it cannot be reached, or the connection was lost.
        """
        self.refuse_early(day)
        # A day that is not over is read again each time.
        position = self.position(self.fingerprint(day) or f"early {datetime.now(UTC).isoformat()}")
        if raw.is_complete(position):
            return
        raw.begin(position)
        database = self.database()
        account = None
        with database.connect() as connection:
            table = self._looked_up(database, connection)
            # Those without a day first: a row that gets its day meanwhile is read twice, not never.
            if table and day == first_day:
                account = self._account(database, connection, table, first_day)
                self._write(raw, database, connection, table, "without-day", *self._statement(database, table, None))
            self._write(raw, database, connection, table, str(day), *self._statement(database, table, day))
        raw.complete(account=account)

    def database(self) -> Database:
        """Return the database; raises ImportFileError where there is no URL."""
        if not self.url:
            raise ImportFileError(
                "source.url is empty: set it to a SQLAlchemy URL, such as postgresql://user:password@host/database "
                "(or set the environment variable the import file names)"
            )
        return Database(self.url.get_secret_value(), self.options, self.timezone)

    def _write(
        self, raw: RawExport, database: Database, connection: Connection, table: Table | None, what: str,
        statement: Select[Any] | TextClause, values: dict[str, Any],
    ) -> None:  # fmt: skip
        """Write the rows of a SELECT as parts; *what* they are is a day, or `without-day`."""
        columns, batches = database.read(connection, statement, values)
        without_day = what == "without-day"
        write_parts(
            raw, what if without_day else "rows", f"{database.shown} {self.table or 'query'} [{what}]", columns,
            batches, json_columns={*self.json_columns, *(table.json_columns() if table else ())},
            without_day=without_day,
        )  # fmt: skip

    def _account(self, database: Database, connection: Connection, table: Table, first_day: date) -> Account:
        """Return where all rows of the table go: to a day, to none, or to one that the import does not have."""
        zone, bounds = ZoneInfo(self.timezone), self.bounds or self._suggested(table, database.backend)
        days = first_day, self.last_day or max(first_day, datetime.now(zone).date())
        rows, _ = self._rows(table)
        name = self.day_column or ""
        statement = self._wanted(day_bounds.places(rows, rows.c[name], days, zone, bounds, table.columns[name]))
        _, batches = database.read(connection, statement, {})
        (row,) = [row for batch in batches for row in batch]
        return day_bounds.account_of(row, zone, bounds)

    def _rows(self, table: Table) -> tuple[Any, Select[Any]]:
        """Return the table, and the SELECT of all rows that are wanted of it."""
        import sqlalchemy as sa

        rows = sa.table(table.name, *[sa.column(name) for name in table.columns], schema=table.schema)
        return rows, self._wanted(sa.select(*[rows.c[name] for name in self.columns or table.columns]))

    def _wanted(self, statement: Select[Any]) -> Select[Any]:
        """Return the SELECT of the table, of those rows only that are wanted."""
        import sqlalchemy as sa

        return statement.where(sa.text(f"({self.where})")) if self.where else statement

    def _is_of_day(self, database: Database, table: Table, rows: Any, day: date) -> Any:
        """Return the condition of the rows that are of *day*."""
        name = self.day_column or ""
        bounds = self.bounds or self._suggested(table, database.backend)
        return day_bounds.is_of_day(rows.c[name], day, ZoneInfo(self.timezone), bounds, table.columns[name])

    def _statement(
        self, database: Database, table: Table | None, day: date | None
    ) -> tuple[Select[Any] | TextClause, dict[str, Any]]:
        """Return the SELECT of the rows of *day*, or of those that have none, and the values of its parameters."""
        import sqlalchemy as sa

        if table is None:
            assert self.query and day
            bounds = self.bounds or day_bounds.of_backend(database.backend)
            start, end, kind = day_bounds.of_day(day, ZoneInfo(self.timezone), bounds)
            text = sa.text(self.query.strip().rstrip(";"))
            bound = text.bindparams(sa.bindparam("day_start", type_=kind), sa.bindparam("day_end", type_=kind))
            return bound, {"day_start": start, "day_end": end}
        rows, statement = self._rows(table)
        if day is not None:
            return statement.where(self._is_of_day(database, table, rows, day)), {}
        name, bounds = self.day_column or "", self.bounds or self._suggested(table, database.backend)
        return statement.where(day_bounds.without_day(rows.c[name], bounds, table.columns[name])), {}

    def _state(self, database: Database, connection: Connection, table: Table | None, day: date) -> str:
        """Return how many rows the day has, and when they changed last."""
        import sqlalchemy as sa

        column: Any = sa.column(self.updated_column or "")
        statement, values = self._statement(database, table, day)
        if isinstance(statement, sa.TextClause):
            counted: Any = sa.select(sa.func.count(), sa.func.max(column)).select_from(
                statement.columns(column).subquery("rows_of_day")
            )
        else:
            counted = statement.with_only_columns(sa.func.count(), sa.func.max(column), maintain_column_froms=True)
        _, batches = database.read(connection, counted, values)
        return " ".join(str(value) for batch in batches for row in batch for value in row)

    def _looked_up(self, database: Database, connection: Connection) -> Table | None:
        """Return the table, None where there is a query instead; raises SourceRefused where a column is unknown."""
        if not self.table:
            return None
        table = database.table(connection, self.table)
        for setting in ("day_column", "updated_column", "columns", "json_columns"):
            value = getattr(self, setting)
            for name in [value] if isinstance(value, str) else value or []:
                if name not in table.columns:
                    raise SourceRefused(
                        f"source.{setting} {name!r} is no column of {self.table}; it has: {', '.join(table.columns)}"
                    )
        return table

    def _suggested(self, table: Table, backend: str) -> Bounds:
        import sqlalchemy as sa

        kind = table.columns[self.day_column or ""]
        if isinstance(kind, sa.Numeric | sa.Integer):
            raise SourceRefused(
                f"source.day_column {self.day_column!r} holds numbers: set source.bounds to s, ms or us if they are "
                "epochs, to digits if they are written as in 20240301"
            )
        if backend == "sqlite" or isinstance(kind, sa.String):
            return "text"
        if isinstance(kind, sa.DateTime):
            return "aware" if kind.timezone else "naive"
        return "date" if isinstance(kind, sa.Date) else day_bounds.of_backend(backend)

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self.timezone))

    def position(self, fingerprint: str) -> str:
        """Return a digest of *fingerprint* and the settings that say which rows are a day's."""
        what = [
            fingerprint, self.database().shown, self.table, self.query, self.day_column, self.timezone, self.bounds,
            self.columns, self.where, self.json_columns,
        ]  # fmt: skip
        return hashlib.sha256(repr(what).encode()).hexdigest()[:32]
