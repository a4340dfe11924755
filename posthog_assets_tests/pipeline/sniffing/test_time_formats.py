"""Guessing the pattern of times."""

from __future__ import annotations

import pytest

from posthog_assets.pipeline.sniffing.time_formats import TimeFormat, time_format_of


@pytest.mark.parametrize(
    ("texts", "pattern", "other"),
    [
        (["01.03.2024 10:00:00", "02.03.2024 10:00:00"], "%d.%m.%Y %H:%M:%S", None),
        (["1.3.24 8:05"], "%d.%m.%y %H:%M", None),
        (["03/01/2024 08:00 AM", "03/15/2024 09:00 PM"], "%m/%d/%Y %I:%M %p", None),
        (["01/03/2024 10:00", "02/03/2024 11:00"], "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"),
        (["03/01/2024 10:00", "03/02/2024 11:00"], "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"),
        (["2024/03/01 10:00:00.123"], "%Y/%m/%d %H:%M:%S.%f", None),
        (["Fri, 01 Mar 2024 08:00:00 GMT"], "%a, %d %b %Y %H:%M:%S %Z", None),
        (["01/Mar/2024:10:00:00 +0000"], "%d/%b/%Y:%H:%M:%S %z", None),
        (["March 1, 2024", "June 3, 2024"], "%B %d, %Y", None),
        (["unknown", "1-Mar-2024", "2-Mar-2024", "3-Mar-2024", "4-Mar-2024"], "%d-%b-%Y", None),
    ],
)
def test_the_pattern_that_reads_most_times_is_found(texts: list[str], pattern: str, other: str | None) -> None:
    assert time_format_of(texts, 0.8) == TimeFormat(pattern, other)


@pytest.mark.parametrize("text", ["hello", "12.5.7", "10:00", "01/03/2024 or so", "2024-03-01"])
def test_what_is_no_such_time_has_no_pattern(text: str) -> None:
    assert time_format_of([text], 0.8) is None


def test_whether_a_pattern_has_the_zone_of_the_times() -> None:
    assert TimeFormat("%d.%m.%Y %H:%M %z").is_zoned
    assert not TimeFormat("%d.%m.%Y %H:%M").is_zoned
