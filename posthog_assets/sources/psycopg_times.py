"""PostgreSQL's times that Python has no value for, as their text.

Belongs here: what the driver psycopg would raise at. Does not belong here: connecting (`database`), or what such a time
means: a dialect rejects it with its text, or it is a property (`valid until infinity`).
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

#: `infinity`, years before 1 and after 9999, a time of 24:00, an endless interval.
_TIMES: Final = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")


def take_any_time(connection: Any) -> None:
    """Make the *connection*'s cursors give the text of each time that Python cannot hold."""
    for name in _TIMES:
        adapters, oid = connection.adapters, connection.adapters.types[name].oid
        adapters.register_loader(oid, _or_text(adapters.get_loader(oid, Format.TEXT)))


def _or_text(known: Any) -> type[Loader]:
    class OrText(Loader):
        format = Format.TEXT

        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._load = known(oid, context).load

        def load(self, data: Buffer) -> Any:
            try:
                return self._load(data)
            except psycopg.DataError:
                return bytes(data).decode()

    return OrText
