"""Names of columns, whatever their case, accents and separators."""

from __future__ import annotations

import pytest

from posthog_assets.pipeline.sniffing.column_names import ANONYMOUS, EVENT, ID, TIME, USER, plain


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("user_id", "userid"), ("UserID", "userid"), ("User-ID ", "userid"), ("$insert_id", "$insertid"),
        ("Zeit Straße", "zeitstrasse"), ("Événement", "evenement"), ("Ｕｓｅｒ", "user"), ("イベント名", "イヘント名"),
        ("время", "время"), ("", ""),
    ],
)  # fmt: skip
def test_a_name_is_compared_without_case_accents_and_separators(name: str, same: str) -> None:
    assert plain(name) == same


def test_a_time_of_the_person_speaks_against_being_that_of_the_event() -> None:
    assert (TIME["birthdate"] < 0, TIME["expiresat"] < 0, TIME["timestamp"]) == (True, True, 1.0)


def test_every_name_of_another_language_is_known_in_the_form_in_which_it_is_looked_up() -> None:
    known = {**TIME, **EVENT, **USER, **ANONYMOUS, **ID}
    names = ("Benutzer-ID", "créé le", "イベント名", "id пользователя", "Geräte-ID", "carimbo de data", "사용자")
    assert [name for name in names if plain(name) not in known] == []
