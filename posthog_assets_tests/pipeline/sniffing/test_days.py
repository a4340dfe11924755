"""Which days an export has, and what says so."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.dialects import load_dialect
from posthog_assets.pipeline.sniffing.days import Times, day_column, days_findings, path_finding, paths_say_the_day
from posthog_assets.pipeline.sniffing.evidence import Certainty
from posthog_assets.pipeline.sniffing.layout import Layout
from posthog_assets.pipeline.sniffing.sampling import Sample
from posthog_assets.sources.files.locations import Found
from posthog_assets.sources.formats import Format, Framing

FIRST, SECOND, FIFTH = (date(2024, 3, number) for number in (1, 2, 5))
FILES = tuple(Found(f"{day}.jsonl", f"{day}.jsonl", "1", 10) for day in (FIRST, SECOND, FIFTH))
LAYOUT = Layout("{day}.jsonl", FILES, (FIRST, SECOND, FIFTH), file_days=(FIRST, SECOND, FIFTH))
WHOLE = Layout("all.jsonl", FILES[:1], ())


def sampled(number: int, days: dict[date, int]) -> tuple[Sample, Times]:
    return Sample(FILES[number], Framing(Format.JSONL)), Times(Counter(days))


def test_days_that_cannot_be_true_are_no_part_of_the_span_unless_there_are_no_others() -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    odd = {date(1994, 12, 31): 1, tomorrow + timedelta(days=1): 2}
    times = Times(Counter({date(1995, 1, 1): 1, tomorrow: 1} | odd))
    assert (times.span, times.implausible) == ((date(1995, 1, 1), tomorrow), odd)
    assert Times(Counter(odd)).span == (date(1994, 12, 31), tomorrow + timedelta(days=1))


def test_a_path_says_the_day_where_most_records_are_of_it_or_of_a_day_beside_it() -> None:
    assert paths_say_the_day(LAYOUT, [sampled(0, {FIRST: 1, SECOND: 4}), sampled(2, {FIRST: 5})])
    assert not paths_say_the_day(LAYOUT, [sampled(0, {FIRST: 1, SECOND: 3}), sampled(2, {FIRST: 5})])
    assert not paths_say_the_day(WHOLE, [sampled(0, {FIRST: 1})])


def test_files_without_a_day_between_them_are_counted() -> None:
    found = path_finding(LAYOUT)
    assert found.evidence == "3 files of 3 days, 2024-03-01 to 2024-03-05; 2 days between have no file"
    one = path_finding(Layout("{day}.jsonl", FILES[:1], (FIRST,)))
    assert (one.evidence, one.certainty) == ("1 file of 1 day, 2024-03-01", Certainty.SURE)


def test_all_days_are_sure_where_all_was_read_and_days_that_cannot_be_true_are_named() -> None:
    odd = {date(1, 1, number): 1 for number in range(1, 5)}
    times = Times(Counter({FIRST: 3, FIFTH: 1} | odd), whole=True)
    whole, implausible = days_findings("at", WHOLE, times)
    assert (whole.evidence, whole.certainty) == (
        "one file holds all days: 2 days, 2024-03-01 to 2024-03-05, by at", Certainty.SURE,
    )  # fmt: skip
    assert implausible.evidence == (
        "4 records of days that cannot be true (0001-01-01, 0001-01-02, 0001-01-03, …) will not be imported"
    )
    (sample,) = days_findings("at", LAYOUT, Times(Counter({FIRST: 3})))
    assert (sample.evidence, sample.certainty) == (
        "3 files hold all days; of a sample the only day is 2024-03-01: earlier and later ones may exist",
        Certainty.UNSURE,
    )


def test_the_day_is_in_the_first_clock_that_half_of_the_records_have() -> None:
    amplitude = load_dialect({"type": "amplitude"})
    first, second = amplitude.day_columns[:2]
    assert day_column(amplitude, [{first: "2024-03-01"}, {second: "2024-03-01"}]) == first
    assert day_column(amplitude, [{first: ""}, {second: "x"}, {second: "y"}]) == second
    with pytest.raises(ImportFileError, match=f"none of the columns {first}, {second}.* says the day of most records"):
        day_column(amplitude, [{}])
