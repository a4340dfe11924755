"""Times that Python cannot hold, as psycopg loads them; a server is asked in the tests of services."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.sources.sql.postgres_times import take_any_time

psycopg = pytest.importorskip("psycopg", reason="needs the extra posthog_assets[postgres]")


class Connection:
    """What psycopg's adapters hang on."""

    def __init__(self) -> None:
        self.adapters = psycopg.adapt.AdaptersMap(psycopg.adapters)

    def load(self, kind: str, text: bytes) -> Any:
        oid = self.adapters.types[kind].oid
        loader = self.adapters.get_loader(oid, psycopg.pq.Format.TEXT)
        return loader(oid, self).load(text)

    @property
    def connection(self) -> None:
        return None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("date", "infinity"),
        ("date", "0044-03-15 BC"),
        ("date", "10000-01-01"),
        ("timestamp", "-infinity"),
        ("timestamp", "12024-03-01 10:00:00"),
        ("time", "24:00:00"),
    ],
)
def test_a_time_that_python_cannot_hold_is_its_text(kind: str, text: str) -> None:
    plain, taught = Connection(), Connection()
    take_any_time("psycopg", taught)
    with pytest.raises(psycopg.DataError):
        plain.load(kind, text.encode())
    assert taught.load(kind, text.encode()) == text


def test_every_other_time_is_what_it_was() -> None:
    plain, taught = Connection(), Connection()
    take_any_time("psycopg", taught)
    for kind, text in (
        ("date", b"2024-03-01"),
        ("timestamp", b"2024-03-01 10:00:00.5"),
        ("interval", b"1 day 02:00:00"),
    ):
        assert taught.load(kind, text) == plain.load(kind, text)


def test_what_one_connection_is_taught_no_other_one_knows() -> None:
    taught, other = Connection(), Connection()
    take_any_time("psycopg", taught)
    with pytest.raises(psycopg.DataError):
        other.load("date", b"infinity")


def test_a_connection_of_another_driver_is_left_alone() -> None:
    take_any_time("sqlite3", None)
