"""What is made for an import file's columns reads every line as `columns` does column by column."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.dialects.column_lines import lines_of, unfilled
from posthog_assets.dialects.columns import Columns
from posthog_assets.dialects.notes import notes_of
from posthog_assets.dialects.people import Profiles
from posthog_assets.sources.formats.json_lines import unparsed
from posthog_assets_tests.dialects.test_any_object import texts, values
from posthog_assets_tests.examples import examples

RECORD: dict[str, Any] = {
    "id": "i-1", "event": "bought", "user": "ann", "device": "d-1", "time": "2024-03-01T10:00:00Z", "price": 9.5,
    "plan": "pro", "company": "acme", "actor": {"id": "a-1", "name": "Ann"}, "tags": ["x"], "note": None,
}  # fmt: skip

BASIC: dict[str, Any] = {
    "event": {"column": "event"}, "user_id": {"column": "user"}, "timestamp": {"column": "time"},
    "source_id": {"column": "id"},
}  # fmt: skip

SETTINGS: dict[str, dict[str, Any]] = {
    "basic": BASIC,
    "a constant event": BASIC | {"event": {"value": "seen"}},
    "two ids": BASIC | {"anonymous_id": {"column": "device"}},
    "a device alone": {key: BASIC[key] for key in ("event", "timestamp")} | {"anonymous_id": {"column": "device"}},
    "no source id": {key: BASIC[key] for key in ("event", "timestamp", "user_id")},
    "no source id, edition 2": {key: BASIC[key] for key in ("event", "timestamp", "user_id")} | {"edition": 2},
    "a path": BASIC | {"user_id": {"column": "actor.id"}},
    "a path, edition 2": BASIC | {"user_id": {"column": "actor.id"}, "edition": 2},
    "two paths": BASIC | {"user_id": {"column": "actor.id"}, "anonymous_id": {"column": "actor.name"}, "edition": 2},
    "chosen properties": BASIC | {"properties": ["price", "$groups", "absent"]},
    "a person's": BASIC | {"person_properties": ["plan", "absent", "actor.name"]},
    "a person's, edition 2": BASIC | {"person_properties": ["plan", "actor.name"], "edition": 2},
    "groups": BASIC | {"groups": {"company": {"column": "company"}, "team": {"column": "actor.team"}}},
    "required": BASIC | {"required": ["price", "actor.name"]},
    "one column twice": BASIC | {"user_id": {"column": "id"}, "person_properties": ["user", "id"]},
    "seconds": BASIC | {"timestamp": {"column": "time", "unit": "s"}},
    "a pattern": BASIC | {"timestamp": {"column": "time", "format": "%Y-%m-%dT%H:%M:%SZ"}},
    "numbers": BASIC | {"big_numbers": "number"},
    "unset": BASIC | {"keep_unset": True},
}  # fmt: skip

#: Values that ids, times, groups and persons ask about.
pointed = st.one_of(
    values,
    st.sampled_from(
        ["", " ", "\n", 0, 1.0, 2.5, True, 2**60, -(2**60), 1_709_287_200, "2024-03-01 10:00:00", "20240301", {}, [],
         {"id": "a-2"}, {"id": 7}, {"team": " red "}, ["a"]]
    ),
)  # fmt: skip
names = st.sampled_from([*RECORD, "$set", "$set_once", "$unset", "$groups", "actor.id", "absent", "further"])
records = st.one_of(
    st.builds(lambda changes: RECORD | changes, st.dictionaries(names, pointed, max_size=3)),
    st.builds(
        lambda changes, gone: {key: value for key, value in (RECORD | changes).items() if key not in gone},
        st.dictionaries(names, pointed, max_size=2), st.sets(names, max_size=2),
    ),
    st.dictionaries(texts, values, max_size=4),
)  # fmt: skip


class Slow(Columns):
    """The same without the function that is made for the settings."""

    compiled: ClassVar[bool] = False


def is_read_alike(section: dict[str, Any], lines: list[bytes]) -> pa.RecordBatch:
    expected = Slow.model_validate(section).stage(unparsed(lines, 3), "part")
    read = Columns.model_validate(section).stage(unparsed(lines, 3), "part")
    read.validate(full=True)
    assert read.to_pylist() == expected.to_pylist()
    assert read.equals(expected)
    assert notes_of(read.schema.metadata) == notes_of(expected.schema.metadata)
    return read


@pytest.mark.parametrize("name", SETTINGS)
@given(st.lists(records, min_size=1, max_size=5))
@settings(max_examples=examples(30), deadline=None)
def test_any_line_is_read_alike(name: str, members: list[dict[str, Any]]) -> None:
    is_read_alike(SETTINGS[name], [orjson.dumps(record) + b"\n" for record in (RECORD, *members, RECORD)])


@pytest.mark.parametrize("line", [b"{", b"[]", b"null", b'{"a": 1', b"\xff", b'{"event": "\\ud83d"}', b"{} {}"])
def test_a_line_that_is_no_record_is_rejected_with_the_same_words(line: bytes) -> None:
    batch = is_read_alike(BASIC, [orjson.dumps(RECORD) + b"\n", line + b"\n", orjson.dumps(RECORD) + b"\n"])
    assert [reason is None for reason in batch["reject_reason"].to_pylist()] == [True, False, True]


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "seconds"])
def test_a_record_as_most_are_is_read_in_a_straight_line(name: str) -> None:
    dialect = Columns.model_validate(SETTINGS[name])
    columns = unfilled()
    others, _ = lines_of(dialect._chosen)(dialect, [orjson.dumps(RECORD)], columns)
    assert (others, len(columns[0])) == ([], 1)


def test_where_most_records_are_read_closely_the_function_is_not_asked_for_them_again() -> None:
    dialect = Columns.model_validate(BASIC)
    lines = [orjson.dumps(RECORD | {"id": number}) for number in range(600)]
    for _ in range(2):
        assert dialect._reads_lines
        assert dialect.stage(unparsed(lines, 1), "part")["source_id"].to_pylist() == list(map(str, range(600)))
    assert not dialect._reads_lines
    assert dialect.stage(unparsed(lines, 1), "part")["source_id"].to_pylist() == list(map(str, range(600)))


def test_a_few_odd_records_do_not_tell_what_a_day_is_like() -> None:
    dialect = Columns.model_validate(BASIC)
    dialect.stage(unparsed([orjson.dumps(RECORD | {"id": 1})] * 900, 1), "part")
    dialect.stage(unparsed([orjson.dumps(RECORD)] * 1_000, 1), "part")
    assert dialect._reads_lines


def test_a_class_that_reads_times_in_its_own_way_has_them_read_so() -> None:
    profiles = Profiles.model_validate({"user_id": {"column": "user"}, "as_of": "2020-02-02"})
    (row,) = profiles.stage(unparsed([orjson.dumps(RECORD)], 1), "part").to_pylist()
    assert (row["event"], row["timestamp"].isoformat()) == ("$set", "2020-02-02T00:00:00+00:00")
