"""PostHog's sessions: whose events have which `$session_id`, whatever the order of days and the size of batches."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Iterator
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

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.json_members import scalars, without
from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.dialects import load_dialect
from posthog_assets.mapping import Around, EventMapper, Mapping, map_day, session_index
from posthog_assets.mapping.session_ids import session_ids
from posthog_assets.mapping.sessions import SessionWriter
from posthog_assets.mapping.settings import Sessions
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.conftest import small_attributes, small_import
from posthog_assets_tests.examples import examples

DAY = date(2024, 3, 1)
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
HALF_AN_HOUR = {"idle_minutes": 30, "property": "session"}

Row = dict[str, Any]


def row(at: timedelta, number: int = 0, **changes: Any) -> Row:
    base: Row = dict.fromkeys(STAGED_EVENTS.names)
    base |= {
        "source_id": f"{number}", "kind": "event", "event": "edit", "user_id": "ann", "timestamp": MIDNIGHT + at,
        "properties": "{}", "raw_part": "p", "raw_line": number,
    }  # fmt: skip
    return base | changes


def amplitude(at: timedelta, session: timedelta, number: int = 0, **changes: Any) -> Row:
    milliseconds = (MIDNIGHT + session - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return row(at, number, properties=json.dumps({"$amplitude_session_id": milliseconds}, separators=(",", ":"))) | (
        {"anonymous_id": "phone"} | changes
    )


class Collected:
    def __init__(self) -> None:
        self.rows: list[Row] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.to_pylist()


def sessions_of(
    rows: list[Row],
    wish: Any = "auto",
    dialect: str = "amplitude",
    before: list[Row] | None = None,
    chunk: int = 3,
    **mapping: Any,
) -> dict[str, str | None]:
    """Return the `$session_id` of each record that became an event, by its source id."""
    mapper = EventMapper(
        Mapping.model_validate({"sessions": wish} | mapping), "shop", load_dialect({"type": dialect}), day=DAY,
        fetched_at=MIDNIGHT + timedelta(days=30),
    )  # fmt: skip
    sink = Collected()

    @contextmanager
    def open_sink() -> Iterator[Collected]:
        sink.rows = []
        yield sink

    def batches(some: list[Row]) -> Callable[[], Iterator[pa.RecordBatch]]:
        return lambda: (
            pa.RecordBatch.from_pylist(some[at : at + chunk], schema=STAGED_EVENTS) for at in range(0, len(some), chunk)
        )

    with tempfile.TemporaryDirectory() as folder:
        around = Around(batches(rows), batches(before) if before is not None else None)
        map_day(batches(rows), mapper, open_sink, Path(folder), ordered=False, around=around)
    found = {}
    for event in sink.rows:
        if event["source_id"] is not None:
            properties = orjson.loads(event["properties"])
            found[event["source_id"]] = properties.get("$session_id")
    return found


def time_in(session: str) -> datetime:
    assert uuid.UUID(session).version == 7
    return datetime.fromtimestamp((uuid.UUID(session).int >> 80) / 1000, UTC)


def test_a_session_id_is_a_version_7_uuid_of_its_start_and_the_hash_of_its_names() -> None:
    # Spelled out on purpose: sessions that were imported are known by these bytes.
    assert session_ids(np.array([1_709_251_200_000]), ["phone\0001709251200000"]).to_pylist() == [
        "018df74f-8400-7e6b-a072-d60e43e2be04"
    ]
    assert uuid.UUID("018df74f-8400-7e6b-a072-d60e43e2be04").variant == uuid.RFC_4122


def test_sessions_are_off_unless_the_import_file_asks_for_them() -> None:
    assert sessions_of([amplitude(HOUR, HOUR)], wish="off") == {"0": None}
    assert Mapping.model_validate({}).sessions.mode == "off"


@pytest.mark.parametrize(("written", "mode"), [(False, "off"), ("off", "off"), (True, "auto"), ("auto", "auto")])
def test_what_yaml_makes_of_on_and_off_is_understood(written: Any, mode: str) -> None:
    assert Mapping.model_validate({"sessions": written}).sessions.mode == mode


def test_an_unknown_word_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=r"mapping.sessions: must be 'auto' or 'off'"):
        small_import(tmp_path, mapping={"sessions": "always"})


def test_an_import_file_without_sessions_keeps_the_version_of_its_mapping(tmp_path: Path) -> None:
    plain = small_import(tmp_path)
    # Sessions that are off do not count.
    assert plain.mapping_version == "270efdd4"
    assert small_import(tmp_path, mapping={"sessions": "off"}).mapping_version == "270efdd4"
    assert small_import(tmp_path, mapping={"sessions": "auto"}).mapping_version != "270efdd4"


def test_amplitudes_session_begins_when_amplitude_says_and_is_the_devices() -> None:
    found = sessions_of(
        [
            amplitude(HOUR + MINUTE, HOUR, 1),
            amplitude(2 * HOUR, HOUR, 2),
            amplitude(2 * HOUR, HOUR, 3, anonymous_id="tv"),
        ]
    )
    assert time_in(found["1"] or "") == MIDNIGHT + HOUR
    assert found["1"] == found["2"] != found["3"]


def test_a_login_does_not_end_a_session() -> None:
    found = sessions_of([amplitude(HOUR, HOUR, 1, user_id=None), amplitude(HOUR + MINUTE, HOUR, 2)])
    assert found["1"] == found["2"] is not None


def test_two_users_of_one_device_do_not_share_a_session() -> None:
    found = sessions_of(
        [
            amplitude(HOUR, HOUR, 1, user_id=None),
            amplitude(HOUR + MINUTE, HOUR, 2),
            amplitude(HOUR + 2 * MINUTE, HOUR, 3, user_id="bob"),
            amplitude(HOUR + 3 * MINUTE, HOUR, 4, user_id="bob"),
            amplitude(HOUR + 4 * MINUTE, HOUR, 5),
        ]
    )
    assert found["1"] == found["2"] == found["5"]
    assert found["3"] == found["4"] != found["1"]


def test_a_session_of_more_than_a_day_is_split_where_posthog_ends_it() -> None:
    found = sessions_of([amplitude(HOUR, -22 * HOUR, 1), amplitude(3 * HOUR, -22 * HOUR, 2)])
    assert time_in(found["1"] or "") == MIDNIGHT - 22 * HOUR
    assert time_in(found["2"] or "") == MIDNIGHT + 2 * HOUR


def test_a_clock_that_is_wrong_moves_the_start_of_the_whole_session() -> None:
    found = sessions_of([amplitude(HOUR - MINUTE, HOUR, 1), amplitude(2 * HOUR, HOUR, 2)])
    assert found["1"] == found["2"]
    assert time_in(found["1"] or "") == MIDNIGHT + HOUR - MINUTE


def test_a_valid_session_id_stays_as_it_is() -> None:
    own = "018df722-8800-7abc-8def-000000000001"
    found = sessions_of([row(HOUR, properties=f'{{"$session_id":"{own}"}}')], dialect="posthog", wish=HALF_AN_HOUR)
    assert found == {"0": own}


def test_a_session_id_that_posthog_would_not_count_becomes_one_it_does() -> None:
    text = '{"$session_id":"9b2e6a0e-5b7e-4d55-8a36-2f1f1c1d2e3f"}'
    found = sessions_of([row(HOUR, 1, properties=text), row(2 * HOUR, 2, properties=text)], dialect="segment")
    assert time_in(found["1"] or "") == MIDNIGHT + HOUR
    assert found["1"] == found["2"]


@pytest.mark.parametrize(
    ("dialect", "member"),
    [
        ("ga4", '"ga_session_id":1709254800'),
        ("rudderstack", '"rudder_session_id":1709254800'),
        ("segment", '"$segment_session_id":1709254800000'),
        ("snowplow", '"domain_sessionid":"9b2e6a0e-5b7e-4d55-8a36-2f1f1c1d2e3f"'),
        ("matomo", '"matomo_visit_id":77'),
        ("heap", '"heap_session_id":6171723'),
    ],
)
def test_each_vendors_own_session_becomes_posthogs(dialect: str, member: str) -> None:
    rows = [row(HOUR + n * MINUTE, n, properties=f'{{"a":[1],{member},"b":{{}}}}') for n in range(2)]
    found = sessions_of([*rows, row(HOUR, 2)], dialect=dialect)
    assert time_in(found["0"] or "") == MIDNIGHT + HOUR
    assert found["0"] == found["1"]
    assert found["2"] is None


def test_a_number_that_is_no_time_near_its_event_only_names_the_session() -> None:
    found = sessions_of([row(HOUR, properties='{"rudder_session_id":1234567890}')], dialect="rudderstack")
    assert time_in(found["0"] or "") == MIDNIGHT + HOUR


def test_a_property_of_ones_own_can_name_the_session() -> None:
    rows = [row(n * HOUR, n, properties='{"visit":"v1"}') for n in (1, 2)]
    found = sessions_of(rows, dialect="mixpanel", wish={"property": "visit"})
    assert found["1"] == found["2"] is not None


def test_a_session_before_midnight_goes_on_after_it_where_the_day_before_is_known() -> None:
    text = '{"matomo_visit_id":77}'
    late, early = row(-5 * MINUTE, 1, properties=text), row(5 * MINUTE, 2, properties=text)
    today = sessions_of([early], dialect="matomo", before=[late])
    assert today["2"] == sessions_of([late], dialect="matomo")["1"]
    assert sessions_of([early], dialect="matomo")["2"] != today["2"]


def test_half_an_hour_without_an_event_ends_a_computed_session() -> None:
    rows = [row(at, n) for n, at in enumerate((HOUR, HOUR + 30 * MINUTE, HOUR + 61 * MINUTE))]
    found = sessions_of([*rows, row(HOUR, 3, user_id="bob")], dialect="mixpanel", wish={"idle_minutes": 30})
    assert found["0"] == found["1"]
    assert time_in(found["2"] or "") == MIDNIGHT + HOUR + 61 * MINUTE
    assert found["3"] not in (found["0"], None)


def test_a_computed_session_is_the_persons_before_and_after_a_login() -> None:
    rows = [
        row(HOUR, 1, user_id=None, anonymous_id="phone"),
        row(HOUR + MINUTE, 2, anonymous_id="phone"),
        row(HOUR + 2 * MINUTE, 3),
    ]
    found = sessions_of(rows, dialect="mixpanel", wish={"idle_minutes": 30})
    assert found["1"] == found["2"] == found["3"] is not None


def test_a_group_call_belongs_to_no_session() -> None:
    group = row(HOUR, kind="group", groups='{"company":"acme"}', properties='{"$segment_session_id":1709254800000}')
    assert sessions_of([group], dialect="segment") == {"0": None}


def test_properties_that_are_kept_leave_the_session() -> None:
    found = sessions_of([amplitude(HOUR, HOUR)], properties={"keep": ["plan"]})
    assert found["0"] is not None


instants = st.integers(-24 * 60, 24 * 60 - 1).map(lambda minutes: timedelta(minutes=minutes, seconds=7))
people = st.sampled_from([("ann", None), ("bob", None), (None, "phone"), ("ann", "phone"), ("bob", "phone")])
# No session, one that names its start, and one that does not.
named = st.sampled_from(["{}", "start", '{"session":"s1"}', '{"a":{"session":"no"}}'])


@st.composite
def records(draw: st.DrawFn) -> list[Row]:
    rows = []
    for number in range(draw(st.integers(1, 25))):
        at, (user, device), text = draw(instants), draw(people), draw(named)
        one = row(at, number, user_id=user, anonymous_id=device, properties=text)
        if text == "start":
            one = amplitude(at, at - draw(st.integers(-5, 2_000)) * MINUTE, number, user_id=user, anonymous_id=device)
        rows.append(one)
    return rows


def written(
    rows: list[Row], wish: Any, dialect: str, before: list[Row] | None = None, chunk: int = 3
) -> dict[str, str | None]:
    """As `sessions_of`, without the rest of the mapping."""

    def batches(some: list[Row]) -> list[pa.RecordBatch]:
        starts = range(0, len(some), chunk)
        return [pa.RecordBatch.from_pylist(some[at : at + chunk], schema=STAGED_EVENTS) for at in starts]

    writer = SessionWriter(Sessions.model_validate(wish), load_dialect({"type": dialect}))
    mine, theirs = batches(rows), batches(before or [])
    with tempfile.TemporaryDirectory() as folder:
        writer.learn(lambda: mine, lambda: theirs, Path(folder))
    events = [event for batch in mine for event in writer.write(batch).to_pylist()]
    return {event["source_id"]: orjson.loads(event["properties"]).get("$session_id") for event in events}


@given(records(), st.integers(1, 7), st.randoms())
@settings(max_examples=examples(25))
def test_any_order_and_any_chunks_give_the_same_sessions(rows: list[Row], chunk: int, chance: Any) -> None:
    for dialect in ("amplitude", "mixpanel"):
        mixed = list(rows)
        chance.shuffle(mixed)
        assert written(rows, HALF_AN_HOUR, dialect) == written(mixed, HALF_AN_HOUR, dialect, chunk=chunk)


@given(records())
@settings(max_examples=examples(25))
def test_posthogs_rules_hold_for_every_session(rows: list[Row]) -> None:
    by_number = {one["source_id"]: one for one in rows}
    for dialect in ("amplitude", "mixpanel"):
        wish = HALF_AN_HOUR if dialect == "mixpanel" else {"idle_minutes": 30}
        of: dict[str, list[Row]] = {}
        for number, session in written(rows, wish, dialect).items():
            assert session is not None
            of.setdefault(session, []).append(by_number[number])
        for session, events in of.items():
            begin = time_in(session)
            assert begin <= min(event["timestamp"] for event in events)
            assert max(event["timestamp"] for event in events) <= begin + 24 * HOUR
            assert len({event["user_id"] for event in events if event["user_id"]}) <= 1


@given(st.lists(st.tuples(instants, st.sampled_from(["ann", "bob"])), min_size=1, max_size=40))
@settings(max_examples=examples(25))
def test_computed_sessions_of_two_days_agree(events: list[tuple[timedelta, str]]) -> None:
    """Each day is mapped by itself; a session that crosses midnight has one id on both sides."""
    rows = [row(at, number, user_id=user) for number, (at, user) in enumerate(events)]
    yesterday = [one for one in rows if one["timestamp"] < MIDNIGHT]
    today = [one for one in rows if one["timestamp"] >= MIDNIGHT]
    wish = {"idle_minutes": 30}
    found = written(today, wish, "mixpanel", before=yesterday) | written(yesterday, wish, "mixpanel")
    for user in ("ann", "bob"):
        mine = sorted((one["timestamp"], one["source_id"]) for one in rows if one["user_id"] == user)
        begin: datetime | None = None
        last: datetime | None = None
        for at, number in mine:
            if last is None or begin is None or at - last > 30 * MINUTE:
                begin = at
            elif last.date() < at.date() and begin < MIDNIGHT - 24 * HOUR + 30 * MINUTE:
                # It may be older than the day, which the day alone does not show.
                begin = at
            while at - begin >= 24 * HOUR:
                begin += 24 * HOUR
            milliseconds = begin.replace(microsecond=begin.microsecond // 1000 * 1000)
            assert time_in(found[number] or "") == milliseconds
            last = at


@given(
    st.dictionaries(
        st.sampled_from(["s", 'q"', "other", "x,"]),
        st.recursive(
            st.none() | st.integers(-9, 99) | st.sampled_from(["", "a", 'b"s":1', ',"s":2', "{", "ü\\"]),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["s", "y"]), inner, max_size=2),
            max_leaves=6,
        ),
    )
)
def test_a_member_is_read_as_a_parser_reads_it(members: dict[str, Any]) -> None:
    texts = pa.array([orjson.dumps(members).decode(), None], pa.string())
    value = members.get("s")
    expected = str(value) if type(value) in (int, str) and value != "" else None
    assert scalars(texts, "s").to_pylist() == [expected, None]
    assert orjson.loads(without(texts, "s")[0].as_py()) == {key: value for key, value in members.items() if key != "s"}


def test_what_waits_on_disk_gives_the_same_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(n * 20 * MINUTE, n, user_id=f"user-{n % 7}") for n in range(60)]
    wish = {"idle_minutes": 60}
    found = written(rows, wish, "mixpanel")
    monkeypatch.setattr(session_index, "_HELD_EVENTS", 10)
    assert written(rows, wish, "mixpanel") == found
    assert len(set(found.values())) == 60


def test_segments_session_is_no_property_while_sessions_are_off(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    message = {
        "type": "track", "event": "buy", "userId": "ann", "messageId": "m1", "timestamp": "2024-03-01T01:00:00Z",
        "context": {"sessionId": 1709251200000, "ip": "9.9.9.9"}, "properties": {"a": 1},
    }  # fmt: skip
    (tmp_path / f"exports/{DAY}.jsonl").write_text(json.dumps(message))
    off = small_import(tmp_path, dialect={"type": "segment"})
    export_day(off, DAY)
    stage_day(off, DAY)
    transform_day(off, DAY)
    assert "session" not in properties_of(off)
    on = small_import(tmp_path, dialect={"type": "segment"}, mapping={"sessions": "auto"})
    transform_day(on, DAY)
    assert '"$segment_session_id":1709251200000' in properties_of(on)
    assert time_in(orjson.loads(properties_of(on))["$session_id"]) == datetime(2024, 3, 1, tzinfo=UTC)


def properties_of(imp: Import) -> str:
    import pyarrow.parquet as pq

    with imp.store.open(f"posthog_events/{DAY}.parquet") as file:
        return pq.read_table(file)["properties"][0].as_py()


def test_the_report_says_when_the_day_before_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    for day in (1, 2, 3):
        record = {"id": day, "user": "ann", "at": f"2024-03-0{day}T00:10:00Z", "what": "edit"}
        (tmp_path / f"exports/2024-03-0{day}.jsonl").write_text(json.dumps(record))
    imp = small_import(tmp_path, mapping={"sessions": {"idle_minutes": 30}})
    for day in (1, 3):
        export_day(imp, date(2024, 3, day))
        stage_day(imp, date(2024, 3, day))
    # Before the first day there is none.
    assert transform_day(imp, date(2024, 3, 1)).knows_day_before
    assert not (report := transform_day(imp, date(2024, 3, 3))).knows_day_before
    assert report.in_sessions == 1


def test_turning_sessions_on_sends_the_changed_events_again_in_their_place(tmp_path: Path, sandbox: Any) -> None:
    (tmp_path / "exports").mkdir()
    records = [
        {"id": 1, "user": "ann", "at": "2024-03-01T10:00:00Z", "what": "edit", "visit": "v1"},
        {"id": 2, "user": "ann", "at": "2024-03-01T11:00:00Z", "what": "edit", "visit": "v1"},
        # One id for two payloads: turning sessions on must change no uuid.
        {"id": 2, "user": "ann", "at": "2024-03-01T11:00:00Z", "what": "edit", "visit": "v1", "more": 1},
        {"id": 3, "user": "bob", "at": "2024-03-01T12:00:00Z", "what": "edit"},
    ]
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(json.dumps(record) for record in records))
    attributes = small_attributes(tmp_path) | {
        "destination": {"host": sandbox.url, "project_api_key": "phc_sessions"},
    }
    off = Import.read(attributes)
    export_day(off, DAY)
    stage_day(off, DAY)
    transform_day(off, DAY)
    assert deliver_day(off, DAY).sent == 4
    on = Import.read(attributes | {"mapping": {"sessions": {"property": "visit"}}})
    transform_day(on, DAY)
    report = deliver_day(on, DAY)
    assert (report.sent, report.changed, report.already_acknowledged, report.moved, report.orphaned) == (3, 3, 1, 0, 0)
    transform_day(off, DAY)
    assert deliver_day(off, DAY).changed == 3
