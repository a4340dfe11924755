"""The events, warnings and group types of a project in ClickHouse, in a process of its own: its threads stay."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.sandbox.store import EventStore, IngestionWarning, QueryFailed, Row

pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")

#: 2024-03-01 10:00:00.123456 UTC, µs.
AT = 1_709_287_200_123_456
FIRST, SECOND = "0190f3a0-0000-7000-8000-000000000001", "0190f3a0-0000-7000-8000-000000000002"

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Return a function that calls another one in the process that has ClickHouse."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        yield lambda function, *given: process.submit(function, *given).result(60)


def an_event_that_arrives_twice(folder: Path) -> tuple[tuple[int, int], list[list[Any]]]:
    with closing(EventStore(folder)) as store:
        store.insert([Row(FIRST, "page", "ann", AT, '{"n":1}'), Row(SECOND, "page", "ann", AT, '{"n":2}')])
        store.insert([Row(FIRST, "page", "ann", AT + 1, '{"n":3}')])
        return store.count(), store.final()


def test_of_equal_day_name_id_and_uuid_the_last_to_arrive_stays(run: Run, tmp_path: Path) -> None:
    assert run(an_event_that_arrives_twice, tmp_path / "data") == (
        (3, 2),
        [[SECOND, "page", "ann", AT, '{"n":2}'], [FIRST, "page", "ann", AT + 1, '{"n":3}']],
    )


def odd_texts_in_an_odd_folder(folder: Path) -> list[list[Any]]:
    with closing(EventStore(folder)) as store:
        store.insert([Row(FIRST, "it's\n\\ a 'name'", 'ü\t"', -1, "{}")])
    with closing(EventStore(folder)) as again:
        return again.final()


def test_quotes_in_events_and_in_the_name_of_the_folder_are_text_and_events_stay(run: Run, tmp_path: Path) -> None:
    assert run(odd_texts_in_an_odd_folder, tmp_path / "it's \\ here") == [
        [FIRST, "it's\n\\ a 'name'", 'ü\t"', -1, "{}"]
    ]


def more_group_types_than_there_is_room_for(folder: Path) -> list[Any]:
    with closing(EventStore(folder)) as store:
        store.add_group_types(["a", "b", "a"])
    with closing(EventStore(folder)) as again:
        again.add_group_types(["b", "c", "d", "e", "f"])
        return again.query("SELECT group_type, group_type_index FROM group_type_mappings ORDER BY 2")["data"]


def test_five_group_types_keep_their_places_and_a_sixth_gets_none(run: Run, tmp_path: Path) -> None:
    expected = [["a", 0], ["b", 1], ["c", 2], ["d", 3], ["e", 4]]
    assert run(more_group_types_than_there_is_room_for, tmp_path) == expected


def warnings_and_nothing(folder: Path) -> list[Any]:
    with closing(EventStore(folder)) as store:
        store.insert([])
        store.warn([])
        store.warn([IngestionWarning("event_dropped_too_old", {"eventUuid": FIRST})])
        return store.query("SELECT type, JSONExtractString(details, 'eventUuid') FROM ingestion_warnings")["data"]


def test_a_warning_is_found_by_what_it_quotes(run: Run, tmp_path: Path) -> None:
    assert run(warnings_and_nothing, tmp_path) == [["event_dropped_too_old", FIRST]]


def what_a_query_may_not(folder: Path, sql: str) -> str:
    with closing(EventStore(folder)) as store:
        try:
            store.query(sql)
        except QueryFailed as error:
            return str(error)
    return ""


@pytest.mark.parametrize(
    ("sql", "words"),
    [("SELECT nothing FROM events", "nothing"), ("DROP TABLE events", "READONLY")],
)
def test_a_query_that_clickhouse_refuses_is_an_error_with_its_words(
    sql: str, words: str, run: Run, tmp_path: Path
) -> None:
    assert words in run(what_a_query_may_not, tmp_path, sql)
