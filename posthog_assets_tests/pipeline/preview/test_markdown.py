"""A preview in words."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from posthog_assets.pipeline.preview.field_changes import Difference, Kind
from posthog_assets.pipeline.preview.markdown import difference_line, markdown, sample_title, sentences
from posthog_assets.pipeline.preview.preview import NewNames, Preview, Sample


def preview(**changes: Any) -> Preview:
    base: dict[str, Any] = {
        "import_name": "shop", "day": date(2024, 3, 1), "mapping": "m-1", "raw_records": 10, "derived": 1,
        "events_by_name": {"page": 8, "$identify": 1}, "rejected": {"timestamp is empty": 2, "distinct_id is empty": 1},
        "fields_left_out": {}, "remarks": {}, "kept_repeats": 0, "shared_devices": 0, "refused_merges": 0, "settled": 0,
        "changed": 0, "moved": 0, "to_send": 8, "requests": 1, "bytes": 1_234_567, "seconds_at_rate": None,
        "billable": 0, "new_names": NewNames([], []), "group_types": [],
        "group_types_unseen": "", "samples": [],
    }  # fmt: skip
    return Preview(**base | changes)


def test_the_numbers_add_up_in_words() -> None:
    words = list(sentences(preview()))
    assert words[0] == "10 raw records become 9 rows (1 of them derived), 3 are rejected. Mapping m-1."
    assert words[1] == (
        "10 records - 2 rejected by the dialect + 1 derived = 9 rows; 9 - 1 rejected by the mapping = 8 events."
    )


def test_a_day_of_one_record_is_described_in_the_singular() -> None:
    few = {"events_by_name": {"page": 1}, "rejected": {}, "raw_records": 1, "derived": 0, "to_send": 1, "bytes": 487}
    assert list(sentences(preview(**few)))[:3] == [
        "1 raw record becomes 1 row (0 of them derived), 0 are rejected. Mapping m-1.",
        "1 record - 0 rejected by the dialect + 0 derived = 1 row; 1 - 0 rejected by the mapping = 1 event.",
        "1 event is to be sent, in about 1 request (0.5 kB before compression); no rate is configured "
        "(destination.max_events_per_second).",
    ]


def test_where_a_record_becomes_several_events_there_is_no_sum() -> None:
    assert not any("rejected by the dialect" in words for words in sentences(preview(events_by_name={"page": 30})))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"moved": 2}, "2 events would be DUPLICATED for ever, because their day, name or distinct_id changed"),
        ({"billable": 3}, "3 of them are billed as live events"),
        ({"kept_repeats": 4}, "4 records without an id are like an earlier one of the day"),
        (
            {"shared_devices": 5, "refused_merges": 6},
            "5 anonymous ids belong to several users; PostHog will refuse 6 merges",
        ),
        ({"settled": 7, "changed": 1}, "7 events are settled already and are not sent again; 1 have changed"),
        ({"seconds_at_rate": 90.4}, "1.2 MB before compression), at least 90 s at the configured rate."),
        ({"group_types_unseen": "no key"}, "The group types that the project has were not looked up: no key."),
        ({"group_types": ["too many"]}, "Importing this day stops before anything is sent: too many."),
    ],
)
def test_what_a_reader_must_know_is_a_sentence_and_nothing_is_said_of_nothing(
    changes: dict[str, Any], words: str
) -> None:
    assert any(words in sentence for sentence in sentences(preview(**changes)))
    assert not any(words in sentence for sentence in sentences(preview()))


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (Difference(Kind.RENAMED, "who", "distinct_id", "ann", "ann"), '→ who → distinct_id: "ann"'),
        (Difference(Kind.CHANGED, "n", "n", 1, 2), "~ n: 1 ~ 2"),
        (Difference(Kind.DROPPED, "note", None, None, None), "- note: null"),
        (Difference(Kind.ADDED, None, "$lib", None, "web"), '+ $lib: "web"'),
    ],
)
def test_what_became_of_a_field_is_one_line(item: Difference, line: str) -> None:
    assert difference_line(item) == line


def test_a_sample_is_named_by_the_place_of_its_record() -> None:
    assert sample_title(Sample(("part-1", 7), {}, None, "odd")) == "part-1:7"
    assert sample_title(Sample(None, None, {}, None)) == "derived: no record of its own"


def test_tables_are_sorted_by_number_and_then_by_name() -> None:
    lines = markdown(preview(events_by_name={"b": 1, "a": 1, "c": 1_000})).splitlines()
    start = lines.index("| event | rows |")
    assert lines[start + 2 : start + 5] == ["| c | 1,000 |", "| a | 1 |", "| b | 1 |"]
