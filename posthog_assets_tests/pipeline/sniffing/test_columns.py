"""Guessing which column is what."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.sniffing.columns import Roles, guess_roles
from posthog_assets.pipeline.sniffing.evidence import Certainty


def records(count: int = 30, **columns: Any) -> list[dict[str, Any]]:
    """Return records whose columns are what each function makes of a number, or a constant."""
    return [
        {name: value(number) if callable(value) else value for name, value in columns.items()}
        for number in range(count)
    ]


def roles(**columns: Any) -> Roles:
    return guess_roles(records(**columns))


def at(number: int) -> str:
    return f"2024-03-01T10:00:{number:02d}Z"


def test_columns_are_told_by_their_names_whatever_their_case_and_separators() -> None:
    found = roles(
        EventName=lambda n: "view" if n % 2 else "buy", userId=lambda n: f"u{n % 5}", created_at=at, ID=lambda n: n
    )
    assert (found.event, found.user_id, found.timestamp, found.source_id) == ("EventName", "userId", "created_at", "ID")
    assert found.is_usable


def test_a_column_that_cannot_be_what_its_name_says_is_none() -> None:
    found = roles(timestamp="yesterday", user_id=lambda n: {"id": n}, when=at)
    assert (found.timestamp, found.user_id) == ("when", None)
    assert not found.is_usable


def test_a_column_that_is_called_time_may_have_some_values_that_are_none() -> None:
    assert roles(time=lambda n: at(n) if n % 4 else "yesterday", user_id="u").timestamp == "time"
    assert roles(time=lambda n: at(n) if n % 4 else "yesterday", user_id="u", created_at=at).timestamp == "created_at"
    assert roles(note=lambda n: at(n) if n % 4 else "yesterday", user_id="u").timestamp is None


def test_the_id_within_a_person_is_the_users() -> None:
    assert roles(time=at, actor=lambda n: {"id": n % 4, "login": f"l{n % 4}"}).user_id == "actor.id"


def test_an_id_that_repeats_is_not_the_events() -> None:
    found = roles(time=at, user_id="u", id=lambda n: n // 2)
    assert found.source_id is None
    assert "id repeats (15 of 30), so it is not the event's id" in found.findings[-1].evidence


@pytest.mark.parametrize(
    ("time", "is_zoned"),
    [(at, True), (lambda n: f"2024-03-01 10:00:{n:02d}", False), (lambda n: 1_709_287_200 + n, True),
     (lambda n: f"2024-03-01 10:00:{n:02d}+01:00", True)],
)  # fmt: skip
def test_a_time_needs_a_zone_unless_it_says_one_or_is_an_epoch(time: Any, is_zoned: bool) -> None:
    assert roles(time=time, user_id="u").is_zoned is is_zoned


def test_numbers_outside_plausible_times_are_no_time() -> None:
    assert roles(time=lambda n: n, user_id="u").timestamp is None


def test_what_is_only_likely_names_the_other_columns_that_it_could_be() -> None:
    found = roles(time=at, login=lambda n: f"l{n % 3}", author=lambda n: f"a{n % 3}")
    finding = next(one for one in found.findings if one.setting == "dialect.user_id")
    assert (finding.value, finding.certainty) == ("login", Certainty.LIKELY)
    assert finding.evidence.endswith("others that could be it: author")


@pytest.mark.parametrize(
    ("event", "user", "time"),
    [("Ereignis", "Benutzer-ID", "Zeitstempel"), ("événement", "utilisateur", "date_heure"),
     ("evento", "usuario", "fecha"), ("イベント名", "ユーザーID", "日時"), ("событие", "пользователь", "время")],
)  # fmt: skip
def test_names_are_known_in_other_languages(event: str, user: str, time: str) -> None:
    found = roles(**{event: lambda n: "view" if n % 2 else "buy", user: lambda n: f"u{n % 5}", time: at})
    assert (found.event, found.user_id, found.timestamp) == (event, user, time)


def test_a_type_that_is_always_the_same_is_the_kind_of_record_and_no_event() -> None:
    found = roles(time=at, user="u", type="event", name=lambda n: ("view", "buy")[n % 2])
    assert found.event == "name"
    assert next(one for one in found.findings if one.setting == "dialect.event").certainty is Certainty.UNSURE


def test_the_name_within_an_event_is_the_events() -> None:
    found = guess_roles([{"event": {"name": "view", "at": at(n)}, "user": {"name": "Ann", "id": n}} for n in range(9)])
    assert (found.event, found.user_id, found.timestamp) == ("event.name", "user.id", "event.at")


def test_ids_that_pandas_wrote_with_a_decimal_point_are_ids_and_prices_are_none() -> None:
    assert roles(time=at, user_id=lambda n: float(n % 5)).user_id == "user_id"
    assert roles(time=at, user_id=lambda n: n + 0.5).user_id is None


def test_a_warehouses_number_of_a_row_is_no_uuid() -> None:
    assert roles(time=at, user_id="u", uuid=lambda n: n, id=lambda n: f"m{n}").source_id == "id"
    uuids = roles(
        time=at, user_id="u", uuid=lambda n: f"018df000-0000-7000-8000-0000000000{n:02}", id=lambda n: f"m{n}"
    )
    assert uuids.source_id == "uuid"


@pytest.mark.parametrize(
    ("time", "is_zoned"),
    [("2024-03-01 10:00:00+00", True), ("2024-03-01 10:00:00 Europe/Berlin", True), ("2024-03-01", False),
     ("20240301103000", False), ("1709287200.5", True)],
)  # fmt: skip
def test_a_zone_is_known_however_it_is_written(time: str, is_zoned: bool) -> None:
    assert roles(time=time, user_id="u").is_zoned is is_zoned


def certainties(found: Roles, setting: str) -> list[tuple[Any, Certainty]]:
    return [(one.value, one.certainty) for one in found.findings if one.setting == setting]


def test_a_column_that_says_utc_in_its_name_is_believed() -> None:
    found = roles(**{"Time Stamp (UTC)": lambda n: f"2024-03-01 10:00:{n:02d}", "user_id": "u"})
    assert certainties(found, "dialect.timestamp.timezone") == [("UTC", Certainty.LIKELY)]


def test_times_that_need_a_pattern_get_one_and_are_marked_where_two_would_do() -> None:
    sure = roles(date=lambda n: f"{n + 1:02}/03/2024 10:00", user_id="u")
    assert certainties(sure, "dialect.timestamp.format") == [("%d/%m/%Y %H:%M", Certainty.LIKELY)]
    unsure = roles(date=lambda n: f"03/{n % 9 + 1:02}/2024 10:00", user_id="u")
    assert certainties(unsure, "dialect.timestamp.format") == [("%m/%d/%Y %H:%M", Certainty.UNSURE)]


def test_times_without_a_time_of_day_are_marked_with_the_column_that_may_have_it() -> None:
    found = roles(date=lambda n: f"2024-03-{n % 9 + 1:02}", time=lambda n: f"10:00:{n:02}", user_id="u")
    assert certainties(found, "dialect.timestamp") == [("date", Certainty.UNSURE)]
    words = next(one.evidence for one in found.findings if one.setting == "dialect.timestamp.column")
    assert words == "time seems to hold the time of day: join both in one column before the import"


def test_columns_without_names_are_guessed_by_their_values() -> None:
    found = roles(column_1=lambda n: ("view", "buy")[n % 2], column_2=lambda n: f"u{n % 9}", column_3=at)
    assert (found.event, found.user_id, found.timestamp) == ("column_1", "column_2", "column_3")
    assert {one.certainty for one in found.findings if one.value} == {Certainty.UNSURE}


def test_a_session_stands_for_a_device_where_there_is_no_other_and_is_marked() -> None:
    found = roles(time=at, session_id=lambda n: f"s{n % 9}")
    assert certainties(found, "dialect.anonymous_id") == [("session_id", Certainty.UNSURE)]
    assert roles(time=at, session_id=lambda n: f"s{n % 9}", device_id="d").anonymous_id == "device_id"


def test_columns_that_were_named_are_taken_and_one_that_is_not_there_is_refused() -> None:
    rows = records(wann=at, wer=lambda n: f"u{n % 5}", user_id="x")
    found = guess_roles(rows, {"timestamp": "wann", "user_id": "wer"})
    assert (found.timestamp, found.user_id) == ("wann", "wer")
    assert certainties(found, "dialect.user_id") == [("wer", Certainty.SURE)]
    with pytest.raises(ImportFileError, match=r"user_id=wehr: no record has .* did you mean wer\?; columns: wann"):
        guess_roles(rows, {"user_id": "wehr"})
