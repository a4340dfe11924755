"""Guessing which column is what."""

from __future__ import annotations

from typing import Any

import pytest

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
