"""The properties of an event: renamed, dropped, kept, added, with what is said of its person and groups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.mapping import EventMapper, Mapping
from posthog_assets.mapping.properties import PropertyWriter
from posthog_assets_tests.mapping.test_mapping import DAY, DIALECT, NOON, map_rows, row


def test_properties_are_renamed_dropped_kept_and_added(tmp_path: Path) -> None:
    text = '{"city":"Bonn","secret":1,"page":"Home","origin":"old"}'
    wish = {"rename": {"city": "$geoip_city_name"}, "drop": ["secret"], "add": {"origin": "wiki"}}

    def own(event: dict[str, Any]) -> dict[str, Any]:
        return {
            k: v
            for k, v in json.loads(event["properties"]).items()
            if "import" not in k and k in text + "$geoip_city_name"
        }

    (event,), _ = map_rows([row(properties=text)], tmp_path, properties=wish)
    assert own(event) == {"$geoip_city_name": "Bonn", "page": "Home", "origin": "wiki"}
    (event,), _ = map_rows([row(properties=text)], tmp_path, properties={"keep": ["page"]})
    assert own(event) == {"page": "Home"}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("set_once", {"$set_once": {"mail": "a", "first": "b"}}),
        ("set", {"$set": {"mail": "a"}, "$set_once": {"first": "b"}}),
        ("none", {}),
    ],
)
def test_person_properties_are_set_once_unless_told_otherwise(
    mode: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    (event,), _ = map_rows([row(set='{"mail":"a"}', set_once='{"first":"b"}')], tmp_path, person_properties=mode)
    assert {k: v for k, v in json.loads(event["properties"]).items() if k.startswith("$set")} == expected


def test_groups_become_a_property(tmp_path: Path) -> None:
    (event,), _ = map_rows([row(groups='{"company":"5"}')], tmp_path)
    assert json.loads(event["properties"])["$groups"] == {"company": "5"}


keys = st.sampled_from(
    [
        "$geoip_disable",
        "$import_job_id",
        "$set",
        "$set_once",
        "$groups",
        "a",
        'q"uote',
        "back\\slash",
        "ü",
        "new",
        "old",
    ]
)


@given(
    st.lists(
        st.dictionaries(keys, st.none() | st.text() | st.integers(0, 9) | st.just({"a": 1}), max_size=6), max_size=5
    ),
    st.booleans(),
)
def test_no_key_stands_twice_whatever_the_properties_are(properties: list[dict[str, Any]], person: bool) -> None:
    mapper = EventMapper(
        Mapping.model_validate({"properties": {"rename": {"old": "new"}, "drop": ["a"], "add": {"new": 1}}}),
        "wiki", DIALECT, day=DAY, fetched_at=NOON,
    )  # fmt: skip
    rows = [
        row(i, properties=orjson.dumps(p).decode(), set='{"m":1}' if person else None) for i, p in enumerate(properties)
    ]
    for event in mapper.map(pa.RecordBatch.from_pylist(rows, schema=STAGED_EVENTS)).to_pylist():
        pairs = json.loads(event["properties"], object_pairs_hook=list)
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names))
        assert dict(pairs)["$import_job_id"] == "wiki"
        assert "a" not in names
        assert "old" not in names


def test_what_is_set_and_what_is_set_once_is_one_object_whatever_the_other_rows_of_the_batch_have(
    tmp_path: Path,
) -> None:
    objects = [('{"a":1}', '{"b":{}}'), ('{"a":1}', None), (None, '{"b":{}}'), (None, None)]
    plain = [row(number, set=last, set_once=first) for number, (last, first) in enumerate(objects)]
    # These have to be parsed: a property of theirs is renamed.
    parsed = [
        row(9 + number, set=last, set_once=first, properties='{"old":1}')
        for number, (last, first) in enumerate(objects)
    ]
    events, _ = map_rows(plain + parsed, tmp_path, chunk=8, properties={"rename": {"old": "new"}})
    said = {event["source_id"]: json.loads(event["properties"]).get("$set_once") for event in events}
    expected = [{"a": 1, "b": {}}, {"a": 1}, {"b": {}}, None]
    assert [said[str(number)] for number in (0, 1, 2, 3, 9, 10, 11, 12)] == expected * 2


def written(properties: str, **settings: Any) -> str:
    writer = PropertyWriter(Mapping.model_validate(settings), "wiki", "columns", "2024-03-01")
    staged = pa.RecordBatch.from_pylist([row(7, properties=properties)], schema=STAGED_EVENTS)
    return writer.write(staged).to_pylist()[0]


MARKERS = (
    '"$geoip_disable":true,"historical_migration":true,"$import_job_id":"wiki","analytics_source":"columns",'
    '"$import_day":"2024-03-01","$import_source_id":"7"'
)


def test_an_event_without_properties_has_its_markers() -> None:
    assert written("{}") == f"{{{MARKERS}}}"


def test_a_property_with_the_name_of_a_marker_gives_way_to_the_marker() -> None:
    assert written('{"$import_day":"1999-01-01","page":"Home"}') == f'{{{MARKERS},"page":"Home"}}'


def test_the_version_of_the_mapping_is_added_when_the_event_is_sent_and_not_before() -> None:
    assert written('{"$import_mapping":"old","page":"Home"}', markers={"mapping": "$import_mapping"}) == (
        f'{{{MARKERS},"page":"Home"}}'
    )
