"""Every country has a name."""

from __future__ import annotations

from posthog_assets.dialects.countries import COUNTRIES


def test_every_country_has_a_name() -> None:
    assert len(COUNTRIES) == 250
    assert (COUNTRIES["AX"], COUNTRIES["GB"], COUNTRIES["ZW"]) == ("Åland Islands", "United Kingdom", "Zimbabwe")
    assert all(len(code) == 2 and code.isupper() and name.strip() == name for code, name in COUNTRIES.items())


def test_the_last_and_the_first_of_a_line_and_names_of_several_words_are_whole() -> None:
    names = {code: COUNTRIES[code] for code in ("AO", "AQ", "BQ", "CI", "TR", "XK")}
    assert names == {
        "AO": "Angola", "AQ": "Antarctica", "BQ": "Bonaire, Sint Eustatius, and Saba", "CI": "Ivory Coast",
        "TR": "Türkiye", "XK": "Kosovo",
    }  # fmt: skip
    assert len(set(COUNTRIES.values())) == 250
