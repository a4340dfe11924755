"""Asking a database through SQLAlchemy, and streaming what it answers.

Belongs here: connecting, looking at tables, reading rows, and what each failure means. Does not belong here: what a
day is, or which rows are wanted (`sql`).

| failure | error |
|---|---|
| SQLAlchemy or the driver is not installed, the URL is none | `ImportFileError` |
| credentials, an unknown database, table or column, a wrong query | `SourceRefused` |
| no connection, connection lost, time limit, anything else that may pass | `SourceUnavailable` |
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from posthog_assets.core.errors import ImportFileError, SourceRefused, SourceUnavailable, shorten
from posthog_assets.core.secrets import hidden_text
from posthog_assets.core.sections import secrets_in
from posthog_assets.sources.sql.parquet_rows import JsonText, Rows
from posthog_assets.sources.sql.postgres_times import take_any_time

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.sql import Executable

#: Rows that are fetched at a time.
_FETCHED: Final = 2_000

#: A bare name means the driver that the extras install; what to install for the others.
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "mysql": "mysql+pymysql",
                   "mariadb": "mariadb+pymysql"}  # fmt: skip
_PACKAGES: Final = {
    "psycopg": "'posthog_assets[postgres]'", "pymysql": "'posthog_assets[mysql]'", "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient", "redshift": "sqlalchemy-redshift redshift_connector", "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery", "clickhouse": "clickhouse-sqlalchemy", "databricks": "databricks-sqlalchemy",
    "duckdb": "duckdb-engine", "trino": "trino[sqlalchemy]", "awsathena": "PyAthena[SQLAlchemy]", "mssql": "pyodbc",
    "oracledb": "oracledb",
}  # fmt: skip

#: Whether JSON is read for SQLAlchemy itself. Not a Database's own: psycopg keeps one reader for all connections.
_INSPECTS: Final = ContextVar("_INSPECTS", default=False)

#: What databases say when asking again cannot help, in the classes of errors that also hold what passes by itself.
_REFUSALS: Final = re.compile(
    r"authenticat|password|access denied|permission denied|not permitted|login failed|unauthorized|invalid_grant|"
    r"does not exist|doesn't exist|unknown (database|table|column)|no such (table|column|function)|no pg_hba|"
    r"time zone|syntax|unable to open database|not a database|malformed|unrecognized|ambiguous|could not decode",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Table:
    """A table's columns and their SQLAlchemy types."""

    name: str
    schema: str | None
    columns: dict[str, Any]

    def json_columns(self) -> list[str]:
        """Return the columns whose type is JSON; some drivers give their values as text."""
        import sqlalchemy as sa

        return [name for name, kind in self.columns.items() if isinstance(kind, sa.JSON)]


@dataclass
class Database:
    """A database as SQLAlchemy reaches it; *options* go to `create_engine`, *timezone* is that of the session."""

    url: str = field(repr=False)
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        self._url = _parsed(self.url)
        query = {key: str(value) for key, value in self._url.query.items()}
        self._secrets = [*secrets_in(query), *secrets_in(self.options)]
        if self._url.password:
            # As it is, and as it stands in the URL.
            self._secrets += [
                str(self._url.password),
                self.url.partition("://")[2].rpartition("@")[0].partition(":")[2],
            ]

    @property
    def shown(self) -> str:
        """The URL without user, password and options."""
        port = f":{self._url.port}" if self._url.port else ""
        return f"{self._url.get_backend_name()}://{self._url.host or ''}{port}/{self._url.database or ''}"

    @property
    def backend(self) -> str:
        return self._url.get_backend_name()

    def secrets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([self.url, *self._secrets]))

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Yield a connection whose cursors stay on the server and whose session is in `timezone`."""
        engine = self._engine()
        try:
            with self._explained(), engine.connect() as connection:
                self._set_timezone(connection)
                take_any_time(connection.dialect.driver, connection.connection.driver_connection)
                yield connection.execution_options(stream_results=True, max_row_buffer=_FETCHED)
        finally:
            engine.dispose()

    def table(self, connection: Connection, path: str) -> Table:
        """Return the table (or view) at `schema.name`.

        Raises:
            SourceRefused: there is none; names those there are.
        """
        import sqlalchemy as sa

        schema, _, name = path.rpartition(".")
        with self._explained(), _inspecting():
            inspector = sa.inspect(connection)
            try:
                found = inspector.get_columns(name, schema=schema or None)
            except sa.exc.NoSuchTableError:
                there = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
                where = f"schema {schema} of {self.shown}" if schema else self.shown
                raise SourceRefused(f"source.table {path!r} is not in {where}; {_nearest(name, there)}") from None
        return Table(name, schema or None, {column["name"]: column["type"] for column in found})

    def read(
        self, connection: Connection, statement: Executable, values: dict[str, Any]
    ) -> tuple[list[str], Iterator[Rows]]:
        """Run a SELECT; returns its columns and, as they are fetched, its rows."""
        with self._explained():
            result = connection.execute(statement, values).yield_per(_FETCHED)
            names = list(result.keys())
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SourceRefused(f"the query gives several columns named {', '.join(twice)}: rename them with AS")

        def partitions() -> Iterator[Rows]:
            with self._explained():
                yield from result.partitions(_FETCHED)

        return names, partitions()

    def _engine(self) -> Engine:
        import sqlalchemy as sa

        path = self._url.database or ":memory:"
        # SQLite would make an empty one.
        if self.backend == "sqlite" and not path.startswith((":", "file:")) and not Path(path).exists():
            raise SourceRefused(f"source.url: there is no file {path}")
        options = {"poolclass": sa.NullPool, "json_deserializer": _json_text} | self.options
        try:
            try:
                return sa.create_engine(self._url, **options)
            except TypeError:
                # A dialect without JSON of its own.
                options.pop("json_deserializer")
                return sa.create_engine(self._url, **options)
        except (sa.exc.NoSuchModuleError, ImportError) as error:
            raise ImportFileError(self._driver_missing(error)) from None
        except (sa.exc.ArgumentError, TypeError, ValueError) as error:
            raise ImportFileError(f"source.url or source.options: {self._safe(error)}") from None

    def _driver_missing(self, error: Exception) -> str:
        name = getattr(error, "name", None) or self.backend
        package = _PACKAGES.get(name) or _PACKAGES.get(self.backend) or name
        return (
            f"the driver of {self._url.drivername}:// is not installed: pip install {package} (or correct source.url)"
        )

    def _set_timezone(self, connection: Connection) -> None:
        # Of a zone's name nothing but letters, digits, "/", "_", "+" and "-" has passed the settings.
        match self.backend:
            case "postgresql" | "redshift":
                connection.exec_driver_sql(f"SET TIME ZONE '{self.timezone}'")
            case "mysql" | "mariadb":
                zone = "+00:00" if self.timezone == "UTC" else self.timezone
                connection.exec_driver_sql(f"SET time_zone = '{zone}'")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import sqlalchemy as sa

        try:
            yield
        except sa.exc.DBAPIError as error:
            words = self._safe(error.orig or error)
            passing = sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError
            may_pass = error.connection_invalidated or isinstance(error, passing)
            failure = SourceUnavailable if may_pass and not _REFUSALS.search(words) else SourceRefused
            raise failure(f"{self.shown}: {words}") from None
        except sa.exc.SQLAlchemyError as error:
            raise SourceRefused(f"{self.shown}: {self._safe(error)}") from None

    def _safe(self, error: BaseException) -> str:
        words = " ".join(str(error).split())
        return shorten(hidden_text(words, *self.secrets()), 400)


def _parsed(url: str) -> URL:
    try:
        import sqlalchemy as sa
    except ImportError:
        raise ImportFileError("source type sql needs SQLAlchemy: pip install 'posthog_assets[sql]'") from None
    try:
        parsed = sa.make_url(url)
        # A password that is not encoded ends up in the host or the database, and would be shown.
        is_whole = not any("@" in str(piece) for piece in (parsed.host, parsed.database))
    except (sa.exc.ArgumentError, ValueError):
        is_whole = False
    if not is_whole:
        raise ImportFileError(
            "source.url is no SQLAlchemy URL; write it as postgresql://user:password@host:5432/database "
            "(a password with @, / or : must be percent-encoded)"
        ) from None
    return parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))


@contextmanager
def _inspecting() -> Iterator[None]:
    """Give SQLAlchemy the JSON that it asks for itself as what it says: PostgreSQL's collations of columns."""
    token = _INSPECTS.set(True)
    try:
        yield
    finally:
        _INSPECTS.reset(token)


def _json_text(value: Any) -> Any:
    text = value if isinstance(value, str) else bytes(value).decode()
    return json.loads(text) if _INSPECTS.get() else JsonText(text)


def _nearest(name: str, there: list[str]) -> str:
    if not there:
        return "there are no tables"
    by_case = {found.lower(): found for found in there}
    close = [by_case[found] for found in difflib.get_close_matches(name.lower(), list(by_case), 5, 0.6)]
    rest = [found for found in sorted(there) if found not in close]
    return "there are: " + shorten(", ".join([*close, *rest]))
