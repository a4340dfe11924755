"""Which names a list of patterns means."""

from __future__ import annotations

import pytest

from posthog_assets.mapping.steps.name_patterns import Names, glob

BAG = {"utm_source": 1, "$set": {}, "$lib": 2, "[Amplitude] Page": 3, "utm_": 4, "UTM_x": 5}


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["utm_*"], ["utm_source", "utm_"]),
        (["[Amplitude]*"], ["[Amplitude] Page"]),
        (["$lib", "utm_source", "gone"], ["$lib", "utm_source"]),
        (["*"], ["utm_source", "$lib", "[Amplitude] Page", "utm_", "UTM_x"]),
        (["$set"], ["$set"]),
        (["*_*e"], ["utm_source"]),
        ([], []),
    ],
)
def test_a_star_stands_for_any_letters_and_nothing_else_is_a_sign(patterns: list[str], names: list[str]) -> None:
    assert Names(patterns).of(BAG) == names


def test_a_star_never_means_what_posthog_reads_the_person_from() -> None:
    names = Names(["$*"])
    assert [name for name in ("$set", "$set_once", "$unset", "$groups", "$group_set", "$lib") if names.mean(name)] == [
        "$lib"
    ]


def test_a_name_of_several_lines_is_a_name() -> None:
    assert Names(["a*z"]).mean("a\nz")


def test_the_text_of_each_star_can_be_taken_along() -> None:
    found = glob("a*-*").fullmatch("ab-c-d")
    assert found is not None
    assert found.groups() == ("b-c", "d")
