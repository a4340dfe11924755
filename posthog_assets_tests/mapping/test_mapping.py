"""From staged rows to PostHog events: uuids, names, properties, PostHog's rules, order."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.errors import ImportFileError, MappingError
from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.dialects import Dialect, load_dialect
from posthog_assets.mapping import EventMapper, Floors, Mapping, MappingReport, Survey, map_day
from posthog_assets.mapping import sorting as order
from posthog_assets.mapping.uuids import uuids5, verbatim
from posthog_assets_tests.examples import examples

DAY = date(2024, 3, 1)
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
DIALECT = load_dialect(
    {
        "type": "columns",
        "event": {"value": "e"},
        "user_id": {"column": "u"},
        "anonymous_id": {"column": "a"},
        "timestamp": {"column": "t"},
    }
)


def row(number: int = 1, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = dict.fromkeys(STAGED_EVENTS.names)
    base |= {
        "source_id": str(number), "kind": "event", "event": "edit", "user_id": "ann", "timestamp": NOON,
        "properties": '{"page":"Home"}', "raw_part": "p", "raw_line": number,
    }  # fmt: skip
    return base | changes


class Collected:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.to_pylist()


def map_rows(
    rows: list[dict[str, Any]],
    tmp_path: Path,
    *,
    ordered: bool = False,
    chunk: int = 3,
    dialect: Dialect = DIALECT,
    **mapping: Any,
) -> tuple[list[dict[str, Any]], MappingReport]:
    mapper = EventMapper(Mapping.model_validate(mapping), "wiki", dialect, day=DAY, fetched_at=NOON + timedelta(days=1))
    sinks: list[Collected] = []

    @contextmanager
    def open_sink() -> Iterator[Collected]:
        sinks.append(Collected())
        yield sinks[-1]

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(rows), chunk):
            yield pa.RecordBatch.from_pylist(rows[start : start + chunk], schema=dialect.staged_schema)

    times = [row["timestamp"].replace(tzinfo=None) for row in rows if not row["reject_reason"]]
    stamps = [np.array(times, "datetime64[us]").astype("i8")]
    survey = Survey(Floors(stamps), lambda columns: (batch.select(columns) for batch in batches()))
    found = []
    # Whether rows are put in order through files, or while they wait in memory, is the same.
    for known in (None, survey):
        spill = tmp_path / uuid.uuid4().hex
        spill.mkdir(parents=True)
        report = map_day(batches, mapper, open_sink, spill, ordered=ordered, survey=known)
        found.append((sinks[-1].rows, dataclasses.replace(report, seconds=0.0)))
    assert found[0] == found[1]
    return found[0]


def test_a_uuid_is_a_version_5_uuid_of_import_and_source_id(tmp_path: Path) -> None:
    (event,), _ = map_rows([row(7)], tmp_path)
    # Spelled out again on purpose: everything imported so far depends on these bytes.
    root = uuid.UUID(bytes=bytes.fromhex("6f1d8c9e4f0b5c8a9f6e2f6f3b1a7d42"))
    assert event["uuid"] == str(uuid.uuid5(uuid.uuid5(root, "wiki"), "7"))
    assert event["uuid"] == "c7ae2a86-310f-5f9b-bd89-4496960d0ab9"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_uuids_in_bulk_are_those_of_the_standard_library(names: list[str]) -> None:
    assert uuids5(uuid.NAMESPACE_DNS, names).to_pylist() == [str(uuid.uuid5(uuid.NAMESPACE_DNS, n)) for n in names]


def test_every_event_carries_its_markers(tmp_path: Path) -> None:
    (event,), _ = map_rows([row(7), ], tmp_path)  # fmt: skip
    assert event["properties"] == (
        '{"$geoip_disable":true,"historical_migration":true,"$import_job_id":"wiki","analytics_source":"columns",'
        '"$import_day":"2024-03-01","$import_source_id":"7","page":"Home"}'
    )


def test_events_are_renamed_or_left_out_and_counted(tmp_path: Path) -> None:
    events, report = map_rows(
        [row(1), row(2, event="beat"), row(3, event="other")], tmp_path, events={"edit": "wiki_edit", "beat": None}
    )
    assert [(event["event"], event["reject_reason"]) for event in events] == [
        ("wiki_edit", None),
        ("beat", "excluded by mapping.events: beat"),
        ("other", None),
    ]
    assert report.reject_reasons == {"excluded by mapping.events": 1}


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


def test_only_a_whole_uuid_is_taken_over_as_it_stands() -> None:
    namespace = uuid.UUID("6f1d8c9e-4f0b-5c8a-9f6e-2f6f3b1a7d42")
    taken, *others = ["11D4B1E0-D7C0-11EE-8000-0A58A9FEAC02", "11d4b1e0-d7c0-11ee-8000-0a58a9feac02\n", "a", "ü"]
    found = verbatim(namespace, pa.array([*others, taken])).to_pylist()
    assert found == [*(str(uuid.uuid5(namespace, name)) for name in others), "11d4b1e0-d7c0-11ee-8000-0a58a9feac02"]
    assert verbatim(namespace, pa.array([taken])).to_pylist() == [taken.lower()]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_id": None}, "distinct_id is empty"),
        ({"user_id": "  "}, "distinct_id is empty"),
        ({"user_id": "x" * 201}, "distinct_id is longer than 200 bytes"),
        ({"user_id": "ü" * 101}, "distinct_id is longer than 200 bytes"),
        ({"user_id": "NULL"}, "distinct_id is one PostHog gives no person: 'NULL'"),
        ({"user_id": "[object Object]"}, "distinct_id is one PostHog gives no person"),
        ({"user_id": "a\x00b"}, "distinct_id holds a NUL character"),
        ({"event": "x" * 201}, "event name is longer than 200 bytes"),
        ({"event": ""}, "event name is empty"),
        ({"timestamp": NOON + timedelta(days=2, minutes=1)}, "timestamp lies in the future"),
        ({"properties": '{"a":"' + "x" * 900_000 + '"}'}, "event is larger than 900,000 bytes"),
    ],
)
def test_what_posthog_would_not_take_is_rejected_with_the_reason(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    events, report = map_rows([row(1), row(2, **changes), row(3)], tmp_path)
    by_source = {event["source_id"]: event["reject_reason"] for event in events}
    assert (by_source["1"], by_source["3"]) == (None, None)
    assert by_source["2"].startswith(reason)
    assert (report.rows, report.rejected) == (3, 1)


def test_the_user_id_comes_before_the_anonymous_one_and_is_trimmed(tmp_path: Path) -> None:
    events, _ = map_rows(
        [row(1, user_id=" ann ", anonymous_id="x"), row(2, user_id=None, anonymous_id="y")], tmp_path, identify=False
    )
    assert [event["distinct_id"] for event in events] == ["ann", "y"]


def test_an_identity_is_linked_once_a_day_before_its_first_event(tmp_path: Path) -> None:
    late, early = NOON + timedelta(hours=2), NOON - timedelta(hours=2)
    rows = [
        row(1, anonymous_id="dev", timestamp=late),
        row(2, anonymous_id="dev", timestamp=early),
        row(3, anonymous_id="anonymous", timestamp=early),
        row(4, anonymous_id="ann", timestamp=early),
    ]
    events, report = map_rows(rows, tmp_path)
    assert [(e["event"], e["source_id"], e["timestamp"]) for e in events][:2] == [
        ("$identify", None, early),
        ("edit", "2", early),
    ]
    assert (report.staged, report.derived, report.rows) == (4, 1, 5)
    assert json.loads(events[0]["properties"])["$anon_distinct_id"] == "dev"
    again, _ = map_rows(rows[::-1], tmp_path)
    assert [e["uuid"] for e in again if e["event"] == "$identify"] == [events[0]["uuid"]]


def test_records_without_an_id_that_are_alike_are_all_kept(tmp_path: Path) -> None:
    events, report = map_rows([row(i, source_id="content:abc") for i in range(3)], tmp_path)
    assert len({event["uuid"] for event in events}) == 3
    assert (report.rejected, report.kept_repeats) == (0, 2)
    again, _ = map_rows([row(i, source_id="content:abc") for i in range(3)], tmp_path, chunk=1)
    assert [event["uuid"] for event in again] == [event["uuid"] for event in events]


def test_only_records_without_an_id_that_are_kept_count_as_kept_repeats(tmp_path: Path) -> None:
    rows = [row(1), row(1), row(2, source_id="content:abc"), row(3, source_id="content:abc")]
    _, report = map_rows(rows, tmp_path)
    assert (report.kept_repeats, report.rejected) == (1, 1)
    _, report = map_rows(rows, tmp_path, repeats="collapse")
    assert (report.kept_repeats, report.rejected) == (0, 2)


def test_an_id_used_twice_is_told_apart_or_rejected_as_a_repetition(tmp_path: Path) -> None:
    rows = [row(1), row(1), row(1, properties='{"page":"Other"}'), row(2)]
    events, report = map_rows(rows, tmp_path)
    assert [event["reject_reason"] for event in events] == [None, "repeats an earlier record: id 1", None, None]
    assert len({event["uuid"] for event in events if event["reject_reason"] is None}) == 3
    assert (report.reused_ids, report.rejected) == (1, 1)


@pytest.mark.parametrize("ordered", [True, False])
def test_another_order_of_delivery_changes_no_uuid(ordered: bool, tmp_path: Path) -> None:
    rows = [row(1, properties=f'{{"page":"{page}"}}', raw_line=0) for page in "ABCA"] + [row(2)]
    first, report = map_rows(rows, tmp_path, ordered=ordered)
    again, _ = map_rows([rows[i] for i in (4, 2, 3, 1, 0)], tmp_path, ordered=ordered, chunk=1)
    assert (report.reused_ids, report.rejected) == (2, 1)
    kept = [{e["uuid"]: e["properties"] for e in events if not e["reject_reason"]} for events in (first, again)]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 4


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=25), st.integers(1, 9))
def test_of_an_id_every_payload_is_sent_once_however_often_both_come(
    records: list[tuple[int, int]], chunk: int
) -> None:
    rows = [row(number, properties=f'{{"page":{page}}}') for number, page in records]
    with tempfile.TemporaryDirectory() as folder:
        events, report = map_rows(rows, Path(folder), chunk=chunk)
    sent = [event for event in events if event["reject_reason"] is None]
    assert len({event["uuid"] for event in sent}) == len(sent) == len(set(records))
    assert report.rejected == len(records) - len(set(records))
    assert report.reused_ids == len(set(records)) - len({number for number, _ in records})


@settings(max_examples=examples(60))
@given(
    st.lists(st.integers(0, 6), max_size=40), st.integers(1, 7), st.sampled_from([1, 2_000, 1 << 26]), st.booleans(),
    st.sampled_from([2, 3, 16]),
)  # fmt: skip
def test_any_chunks_and_any_memory_give_the_same_stable_order(
    minutes: list[int], chunk: int, memory: int, shrink_blocks: bool, runs_at_once: int
) -> None:
    rows = [row(i, timestamp=NOON + timedelta(minutes=minute)) for i, minute in enumerate(minutes)]
    expected = [str(i) for i in sorted(range(len(rows)), key=lambda i: minutes[i])]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(order, "_RUN_BYTES", memory)
        patch.setattr(order, "_OPEN", runs_at_once)
        patch.setattr(order, "_BLOCK_ROWS", 2 if shrink_blocks else 2_048)
        events, report = map_rows(rows, Path(folder), chunk=chunk)
    assert [event["source_id"] for event in events] == expected
    assert report.rows == report.staged == len(rows)


def test_rows_rejected_while_staging_do_not_become_events(tmp_path: Path) -> None:
    events, report = map_rows([row(1), row(2, reject_reason="timestamp is empty"), row(3)], tmp_path)
    assert [event["source_id"] for event in events] == ["1", "3"]
    assert (report.staged, report.staged_rejected, report.rows) == (3, 1, 2)


def test_an_empty_day_is_no_event(tmp_path: Path) -> None:
    assert map_rows([], tmp_path)[0] == []


HOOK = """
def clean(frame):
    frame = frame[frame["source_id"] != "2"].copy()
    frame["event"] = frame["event"].str.upper()
    frame["properties"] = [{"page": p["page"].lower()} for p in frame["properties"]]
    return frame

def breaks(frame):
    return frame["no such column"]
"""


def test_a_function_of_ones_own_changes_events_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_hooks.py").write_text(HOOK)
    monkeypatch.syspath_prepend(tmp_path)
    events, report = map_rows([row(1), row(2), row(3)], tmp_path, transform="my_hooks:clean")
    assert [(e["event"], e["properties"], e["reject_reason"]) for e in events][::2] == [
        ("EDIT", '{"page":"home"}', None)
    ] * 2
    assert events[1]["reject_reason"] == "removed by mapping.transform"
    assert report.rows == 3
    with pytest.raises(MappingError, match="my_hooks:breaks failed: KeyError"):
        map_rows([row(1)], tmp_path, transform="my_hooks:breaks")
    with pytest.raises(ImportFileError, match="my_hooks:gone"):
        map_rows([row(1)], tmp_path, transform="my_hooks:gone")


def test_records_without_an_id_that_are_alike_may_be_collapsed(tmp_path: Path) -> None:
    rows = [row(i, source_id="content:abc") for i in range(3)] + [row(5), row(6, source_id="content:other")]
    events, report = map_rows(rows, tmp_path, repeats="collapse")
    assert [event["reject_reason"] for event in events] == [
        None, *["repeats an earlier record without an id: content:abc"] * 2, None, None
    ]  # fmt: skip
    assert report.reject_reasons == {"repeats an earlier record without an id": 2}
    kept, _ = map_rows(rows, tmp_path)
    assert [event["uuid"] for event in events if not event["reject_reason"]] == [kept[i]["uuid"] for i in (0, 3, 4)]
