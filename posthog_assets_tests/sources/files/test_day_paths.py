"""Paths that name a day."""

from __future__ import annotations

from datetime import date

import pytest

from posthog_assets.sources.files.day_paths import glob_nearby, glob_of_days, names_day, path_flaw, path_of_day
from posthog_assets_tests.sources.files.exporting import files

DAY = date(2024, 3, 1)


def test_segments_folders_are_days_in_epoch_milliseconds_wherever_this_runs() -> None:
    assert files(path="logs/{day:%s000}/*.gz").url(DAY) == "logs/1709251200000/*.gz"


@pytest.mark.parametrize(
    ("path", "of_day", "of_days", "nearby"),
    [
        ("a/{day}.jsonl", "a/2024-03-01.jsonl", "a/*.jsonl", "a/*.jsonl"),
        ("a/{day:%Y/%m/%d}/*.gz", "a/2024/03/01/*.gz", "a/*/*/*/*.gz", "a/*/*.gz"),
        ("a/x-*{day:%Y%m%d}*.gz", "a/x-*20240301*.gz", "a/x-*.gz", "a/x-***.gz"),
        ("{day:%Y}/{day:%j}.csv", "2024/061.csv", "*/*.csv", "*/*.csv"),
        ("a/{day:%s}-100%%.csv", "a/1709251200-100%%.csv", "a/*-100%%.csv", "a/*-100%%.csv"),
        ("a/{day:%%s-%d}.csv", "a/%s-01.csv", "a/*.csv", "a/*.csv"),
    ],
)
def test_a_day_in_a_path_becomes_its_text_or_stars(path: str, of_day: str, of_days: str, nearby: str) -> None:
    assert (path_of_day(path, DAY), glob_of_days(path), glob_nearby(path)) == (of_day, of_days, nearby)


@pytest.mark.parametrize(
    ("path", "flaw"),
    [
        ("a/{day}.jsonl", None),
        ("a/b.jsonl", None),
        ("a/{day:%Y}/{day:yyyy}", "{day:yyyy} must hold a date pattern such as {day:%Y-%m-%d}"),
        ("a/{day:}", "{day:} must hold a date pattern such as {day:%Y-%m-%d}"),
        ("a/{days}", "{days} is unknown; the only placeholder is {day}, as in {day:%Y-%m-%d}"),
        ("a/{hour!r}/{day}", "{hour!r} is unknown; the only placeholder is {day}, as in {day:%Y-%m-%d}"),
        # Braces that hold no name are a glob's.
        ("a/{2023,2024}/{day}", None),
    ],
)
def test_a_placeholder_that_is_none_is_named(path: str, flaw: str | None) -> None:
    assert path_flaw(path) == flaw


def test_only_the_whole_placeholder_names_the_day() -> None:
    assert [names_day(path) for path in ("a/{day}", "a/{day:%d}", "a/day", "a/{ day }")] == [True, True, False, False]
