"""PostgreSQL's times that Python has no value for, as their text.

Belongs here: what the driver psycopg would raise at, and what psycopg2 takes for the year 9999. Does not belong here:
connecting (`database`), or what such a time means: a dialect rejects it with its text, or it is a property
(`valid until infinity`).
"""

from __future__ import annotations

from typing import Any, Final

#: `infinity`, years before 1 and after 9999, a time of 24:00, an endless interval.
_TIMES: Final = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")

#: Of those, what psycopg2 gives another meaning, `infinity`: the numbers of PostgreSQL's types, pg_type.dat.
_ENDLESS: Final = {1082: "PYDATE", 1114: "PYDATETIME", 1184: "PYDATETIMETZ"}


def take_any_time(driver: str, connection: Any) -> None:
    """Make the cursors of a driver's *connection* give the text of each time that Python cannot hold."""
    match driver:
        case "psycopg":
            _teach_psycopg(connection)
        case "psycopg2":
            _teach_psycopg2(connection)


def _teach_psycopg(connection: Any) -> None:
    from psycopg.pq import Format

    for name in _TIMES:
        adapters, oid = connection.adapters, connection.adapters.types[name].oid
        adapters.register_loader(oid, _or_text(adapters.get_loader(oid, Format.TEXT)))


def _or_text(known: Any) -> Any:
    from psycopg import DataError
    from psycopg.adapt import Loader

    class OrText(Loader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._load = known(oid, context).load

        def load(self, data: Any) -> Any:
            try:
                return self._load(data)
            except DataError:
                return bytes(data).decode()

    return OrText


def _teach_psycopg2(connection: Any) -> None:
    from psycopg2 import extensions  # type: ignore[import-untyped]

    for oid, name in _ENDLESS.items():
        known = getattr(extensions, name)

        def cast(value: str | None, cursor: Any, known: Any = known) -> Any:
            return value if value in ("infinity", "-infinity") else known(value, cursor)

        extensions.register_type(extensions.new_type((oid,), name, cast), connection)
