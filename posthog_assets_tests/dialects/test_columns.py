"""Reading records by column: ids, times, types, and the reasons of those that cannot be read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.rejection import reason_head
from posthog_assets.core.sections import load_by_type
from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.dialects import load_dialect
from posthog_assets.dialects.base import content_id
from posthog_assets.sources.formats import RecordChunk, Unreadable
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.dialects.staging import notes, stage_one

BASE = {
    "type": "columns",
    "event": {"value": "edited"},
    "user_id": {"column": "user"},
    "timestamp": {"column": "at"},
    "source_id": {"column": "id"},
}
GOOD = {"id": "7", "user": "ann", "at": "2024-03-01T10:00:00Z"}


def stage(*records: Any, untyped: bool = False, **changes: Any) -> list[dict[str, Any]]:
    dialect = load_dialect(BASE | changes)
    copies = [dict(record) if isinstance(record, dict) else record for record in records]
    return dialect.stage(RecordChunk(range(1, len(copies) + 1), copies, untyped), "part").to_pylist()


def test_a_record_becomes_a_row_without_the_columns_it_used() -> None:
    assert stage(GOOD | {"page": "Home", "deep": {"a": [1, None]}}) == [
        {
            "source_id": "7",
            "kind": "event",
            "event": "edited",
            "user_id": "ann",
            "anonymous_id": None,
            "timestamp": datetime(2024, 3, 1, 10, tzinfo=UTC),
            "properties": '{"page":"Home","deep":{"a":[1,null]}}',
            "set": None,
            "set_once": None,
            "groups": None,
            "group_set": None,
            "raw_part": "part",
            "raw_line": 1,
            "reject_reason": None,
        }
    ]


def test_paths_lead_into_nested_values_and_a_literal_name_wins() -> None:
    rows = stage(
        GOOD | {"actor": {"ids": [{"n": 5}]}},
        GOOD | {"actor.ids.0.n": "literal", "actor": {"ids": [{"n": 5}]}},
        user_id={"column": "actor.ids.0.n"},
    )
    assert [row["user_id"] for row in rows] == ["5", "literal"]


@pytest.mark.parametrize(
    ("user", "text"), [("ann", "ann"), (2**60, "1152921504606846976"), (12.0, "12"), (None, None), ("", "")]
)
def test_ids_become_text(user: Any, text: str | None) -> None:
    assert stage(GOOD | {"user": user})[0]["user_id"] == text


@pytest.mark.parametrize("user", [True, 1.5, {"a": 1}, [1]])
def test_an_id_that_is_neither_text_nor_whole_rejects_its_row(user: Any) -> None:
    row = stage(GOOD | {"user": user})[0]
    assert row["reject_reason"].startswith("user_id is neither text nor a whole number: ")
    assert (row["user_id"], row["properties"], row["raw_line"]) == (None, None, 1)


def test_a_missing_column_is_named_with_those_that_exist() -> None:
    assert stage(GOOD, user_id={"column": "usr"})[0]["reject_reason"] == (
        "column usr is missing: the record has id, user, at"
    )


BOTH: dict[str, Any] = {"user_id": {"column": "user"}, "anonymous_id": {"column": "device"}}


@pytest.mark.parametrize(
    ("ids", "user", "anonymous"),
    [
        ({"user": "ann", "device": "d"}, "ann", "d"),
        ({"user": "ann"}, "ann", None),
        ({"device": "d"}, None, "d"),
        ({"user": "", "device": "d"}, None, "d"),
        ({"user": "ann", "device": " "}, "ann", None),
        ({"user": None, "device": 7}, None, "7"),
    ],
)
def test_of_a_user_and_an_anonymous_id_one_is_enough(ids: dict[str, Any], user: str | None, anonymous: str) -> None:
    record = {"id": "7", "at": GOOD["at"]} | ids
    (row,) = stage(record, **BOTH)
    assert (row["reject_reason"], row["user_id"], row["anonymous_id"]) == (None, user, anonymous)
    # CSV has all columns, and nothing in some.
    text = {"user": "", "device": ""} | {key: str(value) for key, value in record.items() if value is not None}
    assert stage(GOOD | {"device": "e"}, text, untyped=True, **BOTH)[1] == row | {"raw_line": 2}


def test_a_record_of_nobody_says_which_columns_were_looked_for() -> None:
    nobody = {"id": "7", "at": GOOD["at"]}
    rows = stage(GOOD, nobody, nobody | {"user": None}, nobody | {"user": "", "device": " "}, **BOTH)
    assert [row["reject_reason"] for row in rows] == [
        None,
        "columns user and device are missing: the record has id, at",
        "columns user and device are both empty",
        "columns user and device are both empty",
    ]
    (row,) = stage(nobody | {"user": [1], "device": None}, **BOTH)
    assert row["reject_reason"] == "user_id is neither text nor a whole number: [1]"


@pytest.mark.parametrize("second", [False, True, 1.5, [], ["a"], {"id": 1}])
@pytest.mark.parametrize(("good", "bad"), [("user", "device"), ("device", "user")])
def test_a_second_id_that_is_none_counts_as_absent(second: Any, good: str, bad: str) -> None:
    dialect = BASE | {"anonymous_id": {"column": "device"}}
    record = GOOD | {good: "ann", bad: second}
    (row,) = stage(record, anonymous_id={"column": "device"})
    assert (row["user_id"] or row["anonymous_id"], row["reject_reason"]) == ("ann", None)
    field = "anonymous_id" if bad == "device" else "user_id"
    sentence = f"{field} is neither text nor a whole number, so it counts as absent"
    assert notes(dialect, record, record).remarks == {sentence: 2}


def test_required_columns_must_have_a_value() -> None:
    rows = stage(GOOD | {"page": ""}, GOOD, GOOD | {"page": "x"}, required=["page"])
    assert [row["reject_reason"] for row in rows] == ["required column page is empty"] * 2 + [None]


def test_csv_text_becomes_numbers_only_where_nothing_is_lost() -> None:
    values = {
        "int": "-12", "zero": "0", "zip": "01234", "plus": "+1", "float": "1.50", "exp": "1e5", "nan": "NaN",
        "huge": "99999999999999999999", "yes": "true", "space": " 1", "empty": "", "text": "x",
    }  # fmt: skip
    row = stage(GOOD | values, untyped=True)[0]
    assert row["properties"] == (
        '{"int":-12,"zero":0,"zip":"01234","plus":"+1","float":"1.50","exp":"1e5","nan":"NaN",'
        '"huge":"99999999999999999999","yes":true,"space":" 1","text":"x"}'
    )
    assert stage(GOOD | {"n": "5"}, untyped=True, types="text")[0]["properties"] == '{"n":"5"}'


def test_person_properties_and_groups_have_columns_of_their_own() -> None:
    row = stage(
        GOOD | {"email": "a@b.c", "team": 5}, person_properties=["email"], groups={"company": {"column": "team"}}
    )[0]
    assert (row["set"], row["groups"]) == ('{"email":"a@b.c"}', '{"company":"5"}')


@pytest.mark.parametrize(
    ("team", "groups"),
    [
        ("acme", '{"company":"acme"}'),
        (12.0, '{"company":"12"}'),
        (0, '{"company":"0"}'),
        (" ", None),
        (None, None),
        (["acme", "globex"], '{"company":"acme"}'),
        (["", 7], '{"company":"7"}'),
        ([], None),
    ],
)
def test_keys_of_groups_are_read_as_ids_are(team: Any, groups: str | None) -> None:
    wish: dict[str, Any] = {"groups": {"company": {"column": "team"}}}
    first, second = stage(GOOD | {"team": team}, GOOD, **wish)
    assert (first["groups"], first["reject_reason"]) == (groups, None)
    assert (second["groups"], second["reject_reason"]) == (None, None)


@pytest.mark.parametrize("team", [True, 1.5, [["a"]], {"id": 5}])
def test_a_key_of_a_group_that_is_none_rejects_its_row(team: Any) -> None:
    first, second = stage(GOOD | {"team": team}, GOOD | {"team": 5}, groups={"company": {"column": "team"}})
    assert first["reject_reason"].startswith("key of group company is neither text nor a whole number: ")
    assert second["groups"] == '{"company":"5"}'


def test_a_record_without_an_id_is_known_by_its_content_whatever_the_order_of_its_keys() -> None:
    assert content_id({"a": 1, "b": [2]}) == content_id({"b": [2], "a": 1}) != content_id({"a": 1, "b": [3]})
    assert stage(GOOD, source_id=None)[0]["source_id"] == content_id(GOOD)


def test_an_unreadable_record_keeps_its_place_and_reason() -> None:
    rows = stage(GOOD, Unreadable("not valid JSON: x"), GOOD)
    assert [(row["raw_line"], row["reject_reason"]) for row in rows] == [(1, None), (2, "not valid JSON: x"), (3, None)]
    assert reason_head(rows[1]["reject_reason"]) == "not valid JSON"


def instants(*values: Any, zone: str = "UTC", **more: Any) -> list[Any]:
    stamps, reasons = read_timestamps(list(values), zone, **more)
    moments = stamps.cast("int64").to_pylist()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [reasons.get(i) or (epoch + timedelta(microseconds=m)).isoformat() for i, m in enumerate(moments)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-03-01T10:00:00Z", "2024-03-01T10:00:00+00:00"),
        ("2024-03-01 10:00:00.123456789", "2024-03-01T10:00:00.123456+00:00"),
        ("2024-03-01T10:00:00.5+0530", "2024-03-01T04:30:00.500000+00:00"),
        ("2024-03-01", "2024-03-01T00:00:00+00:00"),
        (1709287200, "2024-03-01T10:00:00+00:00"),
        (1709287200123, "2024-03-01T10:00:00.123000+00:00"),
        ("1709287200123456", "2024-03-01T10:00:00.123456+00:00"),
        (1709287200123456789, "2024-03-01T10:00:00.123456+00:00"),
        (1709287200.25, "2024-03-01T10:00:00.250000+00:00"),
        ("1709287200.25", "2024-03-01T10:00:00.250000+00:00"),
        (date(2024, 3, 1), "2024-03-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
    ],
)
def test_times_are_read_in_the_ways_sources_write_them(value: Any, expected: str) -> None:
    assert instants(value) == [expected]
    # A row that cannot be read at all takes the careful path; the result must not depend on it.
    assert instants(value, "nonsense")[0] == expected


@pytest.mark.parametrize("value", ["2024-13-45", "soon", True, "20240301", 10**21, float("nan"), {"a": 1}, [1]])
def test_an_unreadable_time_is_never_now(value: Any) -> None:
    reason = instants(value)[0]
    if value == "20240301":
        assert reason == "2024-03-01T00:00:00+00:00"
    else:
        assert reason.startswith("timestamp cannot be read: ")


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Tokyo"])
def test_a_time_outside_the_years_1_to_9999_is_unreadable(zone: str) -> None:
    far = ["9999-12-31T23:59:59-08:00", "0001-01-01T00:00:00+09:00", "0000-06-01T00:00:00", "9" * 5_000, 10**5_000]
    for value in far:
        assert instants(value, zone=zone)[0].startswith("timestamp cannot be read: ")
        assert instants(value, "2024-03-01T10:00:00Z", zone=zone)[1] == "2024-03-01T10:00:00+00:00"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_an_epoch_too_large_for_its_unit_is_unreadable(unit: str) -> None:
    assert instants(1e308, unit=unit) == ["timestamp cannot be read: '1e+308'"]


def test_an_empty_time_says_so() -> None:
    assert stage(GOOD | {"at": None}, GOOD | {"at": ""})[1]["reject_reason"] == "timestamp is empty"


def test_naive_times_are_in_the_zone_of_the_import_file() -> None:
    berlin = "Europe/Berlin"
    assert instants("2024-07-01T12:00:00", zone=berlin) == ["2024-07-01T10:00:00+00:00"]
    assert instants("2024-01-01T12:00:00", zone=berlin) == ["2024-01-01T11:00:00+00:00"]
    # Twice at night in October: the first one. Never at night in March: the offset before the change.
    assert instants("2024-10-27T02:30:00", zone=berlin) == ["2024-10-27T00:30:00+00:00"]
    assert instants("2024-03-31T02:30:00", zone=berlin) == ["2024-03-31T01:30:00+00:00"]
    assert instants("2024-07-01T12:00:00+00:00", zone=berlin) == ["2024-07-01T12:00:00+00:00"]


def test_format_and_unit_override_what_would_be_guessed() -> None:
    assert instants("01.03.2024 10:00", pattern="%d.%m.%Y %H:%M") == ["2024-03-01T10:00:00+00:00"]
    assert instants(1000, unit="ms") == ["1970-01-01T00:00:01+00:00"]


@given(st.lists(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), min_size=1, max_size=5))  # noqa: DTZ001
def test_what_python_writes_is_read_back_to_the_microsecond(moments: list[datetime]) -> None:
    expected = [moment.replace(tzinfo=UTC).isoformat() for moment in moments]
    assert instants(*[moment.isoformat() for moment in moments]) == expected
    assert instants(*[text.replace("+00:00", "Z") for text in expected]) == expected
    shifted = [(m.replace(tzinfo=UTC) + timedelta(hours=0)).isoformat() for m in moments]
    assert instants(*shifted) == expected


@given(st.lists(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text())))
def test_whatever_the_records_hold_there_is_a_row_for_each(records: list[dict[str, Any]]) -> None:
    assert len(stage(*records)) == len(records)


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        (BASE | {"user_id": None}, "needs user_id or anonymous_id"),
        (BASE | {"timestamp": {"column": "at", "timezone": "Mars/Base"}}, "is no time zone"),
        ({"type": "amplitud"}, "type 'amplitud' is unknown; did you mean amplitude?; allowed: columns"),
        ({"type": "no.such.Dialect"}, "cannot be imported"),
        ({"type": "json.JSONDecoder"}, "is not a subclass of"),
    ],
)
def test_a_wrong_dialect_is_explained(tmp_path: Any, dialect: dict[str, Any], words: str) -> None:
    with pytest.raises(ImportFileError) as caught:
        small_import(tmp_path, dialect=dialect)
    assert words in str(caught.value)
    assert "dialect" in str(caught.value)


def test_a_dialect_of_ones_own_is_found_by_its_path() -> None:
    found = load_dialect({"type": "posthog_assets.defs.nycflights.departures.Departures"})
    assert found.stage(
        RecordChunk([2], [{"tailnum": "N1", "dep_time": "42", "dep_delay": "113", "minute": "49",
                           "time_hour": "2013-01-02T03:00:00Z"}], True), "p"
    ).to_pylist()[0]["timestamp"] == datetime(2013, 1, 2, 5, 42, tzinfo=UTC)  # fmt: skip
    assert load_by_type(found, {}, type(found)) is found


def test_a_nested_column_that_is_an_id_is_no_property_in_edition_2() -> None:
    dialect = {
        "type": "columns",
        "event": {"column": "what.name"},
        "user_id": {"column": "user.id"},
        "timestamp": {"column": "at"},
    }
    record = {
        "what": {"name": "buy"}, "user": {"id": "ann", "plan": "pro"}, "at": "2024-03-01T10:00:00Z", "ids": [{"n": 1}],
    }  # fmt: skip
    assert stage_one(dialect | {"edition": 2}, record)["properties"] == {"user": {"plan": "pro"}, "ids": [{"n": 1}]}
    # Days that are imported already keep what they have.
    assert stage_one(dialect, record)["properties"]["user"] == {"id": "ann", "plan": "pro"}
