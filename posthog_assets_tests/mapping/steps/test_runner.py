"""Steps in a list: their order, which events they see, what they cannot touch, what they cost an event's identity."""

from __future__ import annotations

import builtins
import io
import json
import os
import re
import socket
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.errors import ImportFileError, MappingError
from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.mapping import EventMapper, Mapping
from posthog_assets.mapping.steps import STEPS, load_step
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.examples import examples
from posthog_assets_tests.mapping.steps.applying import Given
from posthog_assets_tests.mapping.steps.records import edits, first_edit
from posthog_assets_tests.mapping.test_kinds import Grouped
from posthog_assets_tests.mapping.test_mapping import DAY, DIALECT, NOON, map_rows, row


def own(one: dict[str, Any]) -> dict[str, Any]:
    """Return an event's properties without the markers."""
    markers = ("$geoip_disable", "historical_migration", "analytics_source", "$import_")
    return {key: value for key, value in json.loads(one["properties"]).items() if not key.startswith(markers)}


def test_steps_follow_each_other_after_the_names_and_before_the_properties(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    text = orjson.dumps(first_edit(real_data)).decode()
    (one,), _ = map_rows(
        [row(properties=text)], tmp_path,
        events={"edit": "PageEdited"},
        steps=[
            {"step": "nulls"},
            {"step": "keep", "names": ["page", "delta", "is*"], "events": ["PageEdited"]},
            {"step": "case", "style": "snake_case"},
            {"step": "drop", "names": ["is_*"], "events": ["page_edited"]},
            {"step": "drop", "names": ["page"], "events": ["edit"]},
        ],
        properties={"rename": {"delta": "bytes"}},
    )  # fmt: skip
    assert one["event"] == "page_edited"
    assert own(one) == {"page": "Talk:Oswald Tilghman", "bytes": 36}


def test_events_no_step_names_keep_every_byte(tmp_path: Path) -> None:
    odd = '{"z":1.0,"a":"\\u00e9","n":1e5}'
    steps = [{"step": "drop", "names": ["a"], "events": ["other"]}]
    (one,), _ = map_rows([row(properties=odd)], tmp_path, steps=steps)
    assert one["properties"].endswith(',"z":1.0,"a":"\\u00e9","n":1e5}')


def test_what_a_step_rejects_is_a_row_with_its_reason(tmp_path: Path) -> None:
    rows = [row(1), row(2, properties='{"page":"A","plan":"pro"}')]
    events, report = map_rows(rows, tmp_path, steps=[{"step": "schema", "required": ["plan"]}])
    assert [(one["source_id"], one["reject_reason"]) for one in events] == [
        ("1", "plan is required: edit"), ("2", None)
    ]  # fmt: skip
    assert (report.rows, report.reject_reasons) == (2, {"plan is required": 1})


def test_the_person_and_the_groups_go_through_the_steps(tmp_path: Path) -> None:
    (one,), _ = map_rows(
        [row(set='{"Mail":"a","x":1}', set_once='{"First":"b"}', groups='{"company":"5"}')], tmp_path,
        steps=[
            {"step": "case", "style": "snake_case", "scope": "person"},
            {"step": "drop", "names": ["x"], "scope": "person"},
        ],
        person_properties="set",
    )  # fmt: skip
    assert own(one) == {
        "$set": {"mail": "a"}, "$set_once": {"first": "b"}, "$groups": {"company": "5"}, "page": "Home"
    }  # fmt: skip


def test_a_step_may_give_an_event_without_a_person_one(tmp_path: Path) -> None:
    steps = [{"step": "add", "copy": {"last_page": "page"}, "scope": "person", "events": ["edit"]}]
    events, _ = map_rows([row(1), row(2, event="other")], tmp_path, steps=steps)
    assert [own(one).get("$set_once") for one in events] == [{"last_page": "Home"}, None]


def test_no_step_takes_what_posthog_links_ids_and_finds_groups_by(tmp_path: Path) -> None:
    rows = [
        row(1, kind="identify", event="identify", anonymous_id="dev"),
        row(2, kind="alias", event="alias", anonymous_id="old"),
        row(3, kind="group", event="group", groups='{"company":"5"}', set='{"planName":"pro","x":1}'),
        row(4, anonymous_id="late", group_set='{"team":{"7":{"planName":"free","x":2}}}'),
    ]
    steps = [
        {"step": "case", "style": "snake_case", "scope": "all"},
        {"step": "keep", "names": ["plan_name"], "scope": "all"},
        {"step": "add", "values": {"via": "import"}},
        {"step": "add", "values": {"$anon_distinct_id": "somebody"}, "events": ["$identify"]},
    ]
    events, _ = map_rows(rows, tmp_path, steps=steps, dialect=Grouped(), identify=False)
    assert {(one["event"], one["source_id"]): own(one) for one in events} == {
        ("$identify", "1"): {"$anon_distinct_id": "dev", "via": "import"},
        ("$create_alias", "2"): {"alias": "old", "via": "import"},
        ("$groupidentify", "3"): {
            "$group_type": "company", "$group_key": "5", "$group_set": {"plan_name": "pro"}, "via": "import"
        },
        ("edit", "4"): {"via": "import"},
        ("$groupidentify", None): {
            "$group_type": "team", "$group_key": "7", "$group_set": {"plan_name": "free"}, "via": "import"
        },
    }  # fmt: skip


def test_what_is_added_to_groups_goes_to_group_calls_only(tmp_path: Path) -> None:
    rows = [row(1), row(2, kind="group", event="group", groups='{"company":"5"}')]
    events, _ = map_rows(rows, tmp_path, steps=[{"step": "add", "values": {"origin": "shop"}, "scope": "group"}])
    assert own(events[0]) == {"page": "Home"}
    assert own(events[1])["$group_set"] == {"origin": "shop"}


OWN = """
from posthog_assets.mapping.steps import Event, Rejected, Step

class Shout(Step):
    \"\"\"Write the page in capitals.\"\"\"

    sign: str = "!"

    def apply(self, event: Event) -> None:
        page = event.properties["page"]
        if page == "secret":
            raise Rejected(f"page is secret: {page}")
        event.properties["page"] = page.upper() + self.sign
        event.properties["who"] = [event.distinct_id, event.is_anonymous, event.timestamp.isoformat()]

class Rename(Step):
    def apply(self, event: Event) -> None:
        event.name = ""

class Odd(Step):
    def apply(self, event: Event) -> None:
        event.properties["odd"] = object()
"""


BORROWED = """
from posthog_assets.core.rejection import Rejected
from posthog_assets.mapping.steps import Step

class Refuse(Step):
    def apply(self, event):
        raise Rejected("not wanted")
"""


def test_a_step_that_does_nothing_is_refused_when_the_import_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "idle_steps.py").write_text(
        "from posthog_assets.mapping.steps import Step\n"
        "class Idle(Step):\n    words: str = ''\n"
        "class Ready(Step):\n    def ready(self, files):\n        return print\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"step idle_steps\.Idle needs the method apply, or ready; it has neither"):
        load_step({"step": "idle_steps.Idle"})
    assert load_step({"step": "idle_steps.Ready"}).events == []


def test_a_step_may_raise_the_dialects_rejection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "borrowing_steps.py").write_text(BORROWED)
    monkeypatch.syspath_prepend(tmp_path)
    events, _ = map_rows([row(1)], tmp_path, steps=[{"step": "borrowing_steps.Refuse"}])
    assert [one["reject_reason"] for one in events] == ["not wanted"]


def test_a_step_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_steps.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    rows = [row(1), row(2, properties='{"page":"secret"}')]
    events, _ = map_rows(rows, tmp_path, steps=[{"step": "own_steps.Shout", "sign": "?"}])
    assert own(events[0]) == {"page": "HOME?", "who": ["ann", False, "2024-03-01T12:00:00+00:00"]}
    assert events[1]["reject_reason"] == "page is secret: secret"
    with pytest.raises(
        MappingError, match=r"mapping\.steps\.0 \(own_steps\.Shout\) failed on the record p:1: KeyError"
    ):
        map_rows([row(properties="{}")], tmp_path, steps=[{"step": "own_steps.Shout"}])
    (one,), _ = map_rows([row()], tmp_path, steps=[{"step": "own_steps.Rename"}])
    assert (one["event"], one["reject_reason"]) == ("edit", "event name is empty")
    (one,), _ = map_rows([row()], tmp_path, steps=[{"step": "own_steps.Odd"}])
    assert one["reject_reason"].startswith("properties cannot be written as JSON: ")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            {"step": "renam"},
            "mapping.steps.0: step 'renam' is unknown; did you mean rename?; allowed: rename, drop, keep",
        ),
        ({"step": "drop", "names": ["a"], "oops": 1}, "mapping.steps.0.oops: is no field here"),
        ({"step": "case", "style": "snake"}, "mapping.steps.0.style: must be 'snake_case'"),
        ({"step": "json.dumps"}, "'json.dumps' is not a subclass of posthog_assets.mapping.steps.base.Step"),
        ("drop", "mapping.steps.0: needs a step: one of rename"),
        ({"step": "hash", "key": "too short", "names": ["a"]}, "mapping.steps.0.key: is shorter than 16"),
    ],
)
def test_a_wrong_step_is_refused_when_the_import_file_is_read(step: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFileError) as raised:
        small_import(tmp_path, mapping={"steps": [step]})
    assert words in str(raised.value)
    assert "too short" not in str(raised.value)


PLACES = {"db": lambda address: {"city": {"names": {"en": "Bonn"}}} if address == "1.1.1.1" else None}
RATES = b"Date,USD,\n2024-03-01,1.25,\n"

#: Every step there is, once.
ALL: list[dict[str, Any]] = [
    {"step": "unpack", "names": ["*"]},
    {"step": "nulls", "texts": ["", "EMPTY"], "deep": True, "empty": True},
    {"step": "rename", "names": {"a*": "b*"}, "scope": "all"},
    {"step": "flatten", "arrays": "index"},
    {"step": "types", "types": {"b": "int", "n": "timestamp", "*p": "float", "t": "bool", "x": "text"}},
    {"step": "case", "style": "snake_case", "scope": "all"},
    {"step": "add", "values": {"k": 1}, "copy": {"l": "b"}},
    {"step": "timestamp_parts", "parts": ["hour"], "timezone": "Europe/Berlin"},
    {"step": "url", "strip": ["tracking"]},
    {"step": "user_agent"},
    {"step": "geoip", "database": "db", "person": True},
    {"step": "currency", "amount": "p", "of": "USD", "to": "EUR", "rates": "rates"},
    {"step": "hash", "key": "k" * 16, "names": ["n", "Mail"], "ids": True},
    {"step": "redact", "names": ["s*"], "find": ["email", "ip", "phone", "card"]},
    {"step": "schema", "properties": {"q": {"type": "number", "min": 0}}, "invalid": "drop", "unknown": "drop"},
    {"step": "drop", "names": ["z"]},
    {"step": "keep", "names": ["*"], "scope": "all"},
    {"step": "sample", "fraction": 0.9},
]


def mapper(steps: list[dict[str, Any]]) -> EventMapper:
    return EventMapper(
        Mapping.model_validate({"steps": steps}), "wiki", DIALECT,
        day=DAY, fetched_at=NOON + timedelta(days=1), files=Given({"rates": RATES}, PLACES),
    )  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_the_example_of_every_step_can_be_written_so(name: str) -> None:
    words = " ".join((STEPS[name].__doc__ or "").split())
    examples = [yaml.safe_load(text) for text in re.findall(r"`(\{step: .*?\})`", words)]
    assert examples
    for example in examples:
        assert example["step"] == name
        assert type(load_step(example)) is STEPS[name]


def test_the_list_of_all_steps_is_complete() -> None:
    assert sorted(step["step"] for step in ALL) == sorted(STEPS)


keys = st.sampled_from(["a", "b", "aB", "n", "p", "t", "x", "q", "s", "$ip", "$current_url", "$raw_user_agent", "$set"])
texts = st.sampled_from(
    ["", "1", "x@y.example", "1.1.1.1", "https://a.example/?gclid=1", '{"a":[1]}', "[[", "curl/8.1", "yes", "http://["]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
records = st.lists(
    st.tuples(
        st.dictionaries(keys, values, max_size=6),
        st.sampled_from(["edit", "other"]),
        st.sampled_from([None, "ann", "bob", " ann"]),
        st.sampled_from([None, "dev", "ann"]),
        st.dictionaries(keys, values, max_size=2),
        st.sampled_from(["1", "2", "3", "4", "content:x"]),
    ),
    max_size=8,
)


def staged(drawn: list[Any]) -> list[dict[str, Any]]:
    return [
        row(
            number, source_id=source, event=name, user_id=user, anonymous_id=anonymous,
            properties=orjson.dumps(properties).decode(), set=orjson.dumps(person).decode() if person else None,
            timestamp=NOON + timedelta(minutes=number % 3),
        )
        for number, (properties, name, user, anonymous, person, source) in enumerate(drawn)
    ]  # fmt: skip


@cache
def two_mappers() -> tuple[EventMapper, EventMapper]:
    # Making the steps ready takes longer than using them on a few records.
    return mapper(ALL), mapper(ALL)


@settings(max_examples=examples(150), deadline=None)
@given(records, st.integers(1, 5))
def test_whatever_the_records_no_step_fails_and_chunks_and_repetition_change_nothing(
    drawn: list[Any], chunk: int
) -> None:
    rows = staged(drawn)
    batch = pa.RecordBatch.from_pylist(rows, schema=STAGED_EVENTS)
    first, again = two_mappers()
    once = first.map(batch)
    assert once.num_rows == len(rows)
    pieces = [again.map(batch.slice(start, chunk)) for start in range(0, len(rows), chunk)]
    assert pa.Table.from_batches(pieces, once.schema).to_pylist() == once.to_pylist()
    assert again.map(batch).equals(once)
    for one in once.to_pylist():
        pairs = json.loads(one["properties"], object_pairs_hook=list)
        assert len(pairs) == len({name for name, _ in pairs})


@settings(max_examples=examples(60), deadline=None)
@given(records, st.sampled_from([step for step in ALL if step["step"] not in ("geoip", "currency")]))
def test_no_step_changes_a_uuid(drawn: list[Any], step: dict[str, Any]) -> None:
    rows = staged(drawn)

    def uuids(steps: list[dict[str, Any]]) -> dict[tuple[str, int], str]:
        with tempfile.TemporaryDirectory() as folder:
            events, _ = map_rows(rows, Path(folder), steps=steps, identify=False)
        return {(one["raw_part"], one["raw_line"]): one["uuid"] for one in events if not one["reject_reason"]}

    without, with_step = uuids([]), uuids([step])
    assert {place: without[place] for place in with_step if place in without} == {
        place: uuid for place, uuid in with_step.items() if place in without
    }
    assert len(set(with_step.values())) == len(with_step)


def test_records_that_a_step_makes_alike_are_no_repetition(tmp_path: Path) -> None:
    rows = [row(1), row(1, raw_line=2, properties='{"page":"Other"}'), row(1, raw_line=3)]
    events, report = map_rows(rows, tmp_path, steps=[{"step": "drop", "names": ["page"]}])
    assert [one["reject_reason"] for one in events] == [None, None, "repeats an earlier record: id 1"]
    assert report.reused_ids == 1


def test_a_record_left_out_by_a_step_gives_its_uuid_to_nobody(tmp_path: Path) -> None:
    rows = [row(1, raw_line=1), row(1, raw_line=2, properties='{"page":"Other"}')]
    before, _ = map_rows(rows, tmp_path)
    step = {"step": "schema", "properties": {"page": {"values": ["Other"]}}}
    after, _ = map_rows(rows, tmp_path, steps=[step])
    assert after[0]["reject_reason"] == "page is none of the allowed values: 'Home'"
    assert [one["uuid"] for one in after] == [one["uuid"] for one in before]


def test_a_day_of_real_edits_is_the_same_in_any_chunks(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    rows = [
        row(number, properties=orjson.dumps(record).decode()) for number, record in enumerate(edits(real_data, 1_000))
    ]
    steps = [
        {"step": "nulls"},
        {"step": "case", "style": "snake_case"},
        {"step": "redact", "find": ["ip"]},
        {"step": "flatten"},
    ]
    whole, report = map_rows(rows, tmp_path, steps=steps, chunk=1_000)
    parts, _ = map_rows(rows, tmp_path, steps=steps, chunk=37)
    assert parts == whole
    assert (report.rows, report.rejected) == (1_000, 0)
    assert {"is_robot", "namespace"} <= own(whole[500]).keys()


def test_mapping_opens_nothing_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = staged([({"p": 5, "$ip": "1.1.1.1", "$raw_user_agent": "curl/8"}, "edit", "ann", "dev", {"a": 1}, "1")])
    batch = pa.RecordBatch.from_pylist(rows, schema=STAGED_EVENTS)
    ready = mapper([step for step in ALL if step["step"] not in ("schema", "sample")])

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"the mapping opens something: {args}")

    for owner, name in (
        (builtins, "open"),
        (io, "open"),
        (os, "open"),
        (socket, "socket"),
        (socket, "create_connection"),
    ):
        monkeypatch.setattr(owner, name, refuse)
    events = ready.map(batch).to_pylist()
    monkeypatch.undo()
    assert events[0]["reject_reason"] is None
    assert own(events[0])["p_eur"] == 4.0
    assert own(events[0])["$geoip_city_name"] == "Bonn"


def test_steps_are_part_of_what_an_import_file_says(tmp_path: Path) -> None:
    steps = [{"step": "rename", "names": {"a": "b"}}, {"step": "hash", "key": "k" * 16, "names": ["c"]}]
    imp: Import = small_import(tmp_path, mapping={"steps": steps})
    assert [step.step for step in imp.mapping.steps] == ["rename", "hash"]
    assert "kkkk" not in repr(imp) + imp.model_dump_json()


def test_a_person_property_that_a_step_sets_twice_is_sent_once(tmp_path: Path) -> None:
    steps = [{"step": "add", "scope": "person", "values": {"plan": "new"}}]
    rows = [row(set='{"name":"Ann"}', set_once='{"plan":"first"}')]
    (event,), _ = map_rows(rows, tmp_path, steps=steps)
    assert event["properties"].count('"plan"') == 1
    assert json.loads(event["properties"])["$set_once"] == {"name": "Ann", "plan": "first"}
