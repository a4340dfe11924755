"""When sessions begin, and whose they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posthog_assets.core.errors import StorageError
from posthog_assets.mapping import session_index
from posthog_assets.mapping.session_index import COMPUTED, EVENT, NAMED, STARTED, UNKNOWN, FirstUsers, SessionIndex

MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE


def events(kind: int, *rows: tuple[int, int, int], start: int = UNKNOWN) -> np.ndarray:
    """Return events of (key, person, minute)."""
    return np.array([(key, person, minute * MINUTE, start, kind) for key, person, minute in rows], dtype=EVENT)


def starts(folder: Path, found: np.ndarray) -> list[int]:
    """Return the minute in which the session of each event starts."""
    with SessionIndex(folder, idle=30 * MINUTE) as index:
        index.add(found)
        index.close()
        return (index.starts(found) // MINUTE).tolist()


def test_a_session_ends_after_more_than_the_idle_time(tmp_path: Path) -> None:
    found = events(COMPUTED, (1, 1, 0), (1, 1, 30), (1, 1, 60), (1, 1, 91), (1, 1, 100))
    assert starts(tmp_path, found) == [0, 0, 0, 91, 91]


def test_sessions_of_several_persons_do_not_touch_each_other(tmp_path: Path) -> None:
    found = events(COMPUTED, (2, 2, 20), (1, 1, 0), (2, 2, 45), (1, 1, 40))
    assert starts(tmp_path, found) == [20, 0, 20, 40]


def test_a_session_with_a_name_goes_on_however_long_nothing_happens(tmp_path: Path) -> None:
    assert starts(tmp_path, events(NAMED, (1, 1, 100), (1, 1, 900), (1, 1, 400))) == [100, 100, 100]


def test_a_session_goes_on_over_one_midnight_and_not_over_two(tmp_path: Path) -> None:
    day = 24 * 60
    found = events(NAMED, (1, 1, day - 10), (1, 1, day + 10), (1, 1, 2 * day + 10))
    assert starts(tmp_path, found) == [day - 10, day - 10, 2 * day + 10]


def test_a_session_that_pauses_for_a_whole_day_begins_again(tmp_path: Path) -> None:
    day = 24 * 60
    found = events(NAMED, (1, 1, day - 10), (1, 1, 2 * day + 10))
    assert starts(tmp_path, found) == [day - 10, 2 * day + 10]


def test_a_session_that_began_right_after_midnight_may_be_older_and_ends_with_the_day(tmp_path: Path) -> None:
    day = 24 * 60
    found = events(NAMED, (1, 1, day + 29), (1, 1, 2 * day + 5))
    assert starts(tmp_path, found) == [day + 29, 2 * day + 5]


def test_an_event_before_the_start_that_the_source_says_moves_the_start(tmp_path: Path) -> None:
    found = events(STARTED, (1, 1, 50), (1, 1, 70), start=60 * MINUTE)
    assert starts(tmp_path, found) == [50, 50]
    assert starts(tmp_path, events(STARTED, (1, 1, 70), (1, 1, 65), start=60 * MINUTE)) == [60, 60]


def test_a_session_belongs_to_the_person_of_its_first_event(tmp_path: Path) -> None:
    found = events(NAMED, (1, 7, 20), (1, 8, 10), (1, 8, 30), (2, 7, 0))
    with SessionIndex(tmp_path, idle=30 * MINUTE) as index:
        index.add(found)
        index.close()
        assert index.strangers(found).tolist() == [True, False, False, False]


def test_a_device_is_its_first_users_and_its_own_where_it_had_none() -> None:
    users = FirstUsers()
    users.add(*(np.array(values, dtype=kind) for values, kind in (([5, 6], "u8"), ([50, 60], "u8"), ([30, 10], "i8"))))
    users.add(*(np.array(values, dtype=kind) for values, kind in (([5, 5], "u8"), ([51, 52], "u8"), ([20, 40], "i8"))))
    assert users.of(np.array([5, 6, 7], dtype="u8")).tolist() == [51, 60, 7]


def test_without_any_user_each_device_is_its_own() -> None:
    assert FirstUsers().of(np.array([5, 6], dtype="u8")).tolist() == [5, 6]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_temporary_disk_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_index, "_HELD_EVENTS", 1)
    for number in range(session_index._BUCKETS):
        (tmp_path / f"sessions-{number:02d}").symlink_to("/dev/full")
    with (
        pytest.raises(StorageError, match=f"^{tmp_path} cannot be written: No space left on device. Make room there"),
        SessionIndex(tmp_path, idle=30 * MINUTE) as index,
    ):
        index.add(events(COMPUTED, (1, 1, 0), (2, 2, 20)))
