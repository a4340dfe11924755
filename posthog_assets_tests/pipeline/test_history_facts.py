"""What all staged days together know, and what the mapping of a day makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import ImportFileError, MissingUpstream, PartitionLost
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.history_facts import find_history_facts
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.upstream import stored_events
from posthog_assets.storage.store import Store
from posthog_assets.storage.timing import Timing
from posthog_assets_tests.conftest import small_import

pytest.importorskip("duckdb", reason="needs the extra posthog_assets[history]")

DIALECT = {
    "type": "columns", "event": {"column": "what"}, "user_id": {"column": "user"},
    "anonymous_id": {"column": "device"}, "timestamp": {"column": "at"}, "source_id": {"column": "id"},
}  # fmt: skip

Record = dict[str, Any]
Staged = Callable[..., Import]


def act(number: int, day: int, hour: int, user: str | None, device: str | None = None, what: str = "buy") -> Record:
    at = f"2024-03-{day:02}T{hour:02}:00:00Z"
    return {"id": f"r{number}", "at": at, "user": user, "device": device, "what": what}


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    """Return a function that stages records, a day each, and returns their import."""

    def stage(*records: Record, **changes: Any) -> Import:
        (tmp_path / "exports").mkdir(exist_ok=True)
        imp = small_import(tmp_path, dialect=DIALECT, **changes)
        days = sorted({record["at"][:10] for record in records})
        for day in days:
            lines = [json.dumps(record) for record in records if record["at"].startswith(day)]
            (tmp_path / f"exports/{day}.jsonl").write_text("\n".join(lines))
            export_day(imp, date.fromisoformat(day))
            stage_day(imp, date.fromisoformat(day))
        return imp

    return stage


def mapped(imp: Import, day: int) -> dict[str, dict[str, Any]]:
    """Map a day; return each event's properties by its source id."""
    transform_day(imp, date(2024, 3, day))
    rows = [row for batch in stored_events(imp.store, date(2024, 3, day)) for row in batch.to_pylist()]
    return {row["source_id"]: orjson.loads(row["properties"]) for row in rows if row["source_id"]}


def table(imp: Import, name: str) -> list[Record]:
    with imp.store.open(f"history_facts/{name}.parquet") as file:
        return pq.read_table(file).to_pylist()


def test_the_first_event_of_a_person_is_the_first_of_all_days(staged: Staged) -> None:
    imp = staged(
        act(1, 1, 10, "ann"), act(2, 2, 10, "ann"), act(3, 2, 9, "bob"), act(4, 2, 11, "bob"),
        act(5, 2, 8, "bob", what="look"), mapping={"first_time": ["buy"]},
    )  # fmt: skip
    find_history_facts(imp)
    assert mapped(imp, 1)["r1"]["$is_first_time"] is True
    today = mapped(imp, 2)
    assert {number: properties.get("$is_first_time") for number, properties in today.items()} == {
        "r2": False, "r3": True, "r4": False, "r5": None,
    }  # fmt: skip


def test_what_happened_before_a_login_on_another_day_is_the_same_persons(staged: Staged) -> None:
    imp = staged(
        act(1, 1, 10, None, "phone"), act(2, 2, 10, "ann", "phone", what="login"), act(3, 3, 10, "ann"),
        mapping={"first_time": ["buy"]},
    )  # fmt: skip
    find_history_facts(imp)
    assert mapped(imp, 1)["r1"]["$is_first_time"] is True
    assert mapped(imp, 3)["r3"]["$is_first_time"] is False


def test_the_time_since_the_previous_event_crosses_days(staged: Staged) -> None:
    imp = staged(
        act(1, 1, 23, "ann", what="look"), act(2, 2, 1, "ann"), act(3, 2, 1, "bob"),
        mapping={"since_previous": ["buy"]},
    )  # fmt: skip
    find_history_facts(imp)
    today = mapped(imp, 2)
    assert today["r2"]["$seconds_since_previous"] == 7200
    assert "$seconds_since_previous" not in today["r3"]
    assert "$is_first_time" not in today["r2"]


def test_a_property_of_the_events_own_stays(staged: Staged) -> None:
    imp = staged(act(1, 1, 10, "ann") | {"$is_first_time": "mine"}, mapping={"first_time": ["buy"]})
    find_history_facts(imp)
    assert mapped(imp, 1)["r1"]["$is_first_time"] == "mine"


def test_facts_add_no_uuid_where_an_id_is_reused(staged: Staged) -> None:
    records = act(1, 1, 10, "ann"), act(1, 1, 10, "ann") | {"more": 1}, act(1, 1, 11, "bob")
    imp = staged(*records)
    without = events_of(imp)
    imp = staged(*records, mapping={"first_time": ["buy"]})
    find_history_facts(imp)
    assert events_of(imp) == without
    assert len(set(without)) == 3


def events_of(imp: Import) -> list[str]:
    transform_day(imp, date(2024, 3, 1))
    return sorted(uuid for batch in stored_events(imp.store, date(2024, 3, 1)) for uuid in batch["uuid"].to_pylist())


def test_a_day_that_was_mapped_without_the_facts_says_so_and_would_change(staged: Staged) -> None:
    imp = staged(act(1, 1, 10, "ann"), act(2, 2, 10, "ann"), mapping={"first_time": ["buy"]})
    assert transform_day(imp, date(2024, 3, 1)).knows_history is False
    assert "$is_first_time" not in mapped(imp, 1)["r1"]
    assert find_history_facts(imp).changed_days == ["2024-03-01"]
    assert transform_day(imp, date(2024, 3, 1)).knows_history is True
    assert find_history_facts(imp).changed_days == []


def test_an_earlier_day_that_comes_later_names_the_days_it_changes(staged: Staged) -> None:
    later = act(2, 2, 10, "ann"), act(3, 3, 10, "bob")
    imp = staged(*later, mapping={"first_time": ["buy"]})
    find_history_facts(imp)
    mapped(imp, 2)
    mapped(imp, 3)
    imp = staged(act(1, 1, 10, "ann"), *later, mapping={"first_time": ["buy"]})
    assert find_history_facts(imp).changed_days == ["2024-03-02"]
    assert mapped(imp, 2)["r2"]["$is_first_time"] is False


def test_a_device_of_two_users_is_linked_to_the_first_and_the_second_merge_is_refused(staged: Staged) -> None:
    imp = staged(act(1, 1, 10, "ann", "tv"), act(2, 2, 10, "bob", "tv"), act(3, 3, 10, "bob", "phone"))
    report = find_history_facts(imp)
    assert [(link["anonymous_id"], link["user_id"], link["refused"]) for link in table(imp, "links")] == [
        ("tv", "ann", False), ("tv", "bob", True), ("phone", "bob", False),
    ]  # fmt: skip
    assert (report.links, report.refused_merges, report.shared_devices) == (3, 1, 1)
    assert report.most_shared_devices == [{"anonymous_id": "tv", "users": 2}]


def test_ids_that_posthog_never_merges_are_no_links(staged: Staged) -> None:
    report = find_history_facts(staged(act(1, 1, 10, "ann", "null"), act(2, 1, 11, "Anonymous", "tv")))
    assert report.links == 0


def test_persons_are_counted_over_all_days(staged: Staged) -> None:
    report = find_history_facts(
        imp := staged(act(1, 1, 10, "ann", "tv"), act(2, 2, 10, None, "tv"), act(3, 2, 11, "b"))
    )
    assert [(one["person"], one["events"], one["ids"]) for one in table(imp, "persons")] == [("ann", 2, 1), ("b", 1, 0)]
    assert table(imp, "persons")[0]["first"].isoformat() == "2024-03-01T10:00:00+00:00"
    assert (report.days, report.events, report.persons) == (2, 3, 2)


def test_ids_with_quotes_and_odd_letters_are_themselves(staged: Staged) -> None:
    imp = staged(act(1, 1, 10, "o'neil; --", "ü\\"), mapping={"first_time": ["buy", "o'clock"]})
    find_history_facts(imp)
    assert table(imp, "persons")[0]["person"] == "o'neil; --"
    assert mapped(imp, 1)["r1"]["$is_first_time"] is True


def test_nothing_staged_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingUpstream, match="small/staged_events has no day yet: materialize staged_events first"):
        find_history_facts(small_import(tmp_path))


def test_staged_days_elsewhere_are_read_where_they_are(staged: Staged) -> None:
    imp = staged(act(1, 1, 10, "ann"), act(2, 2, 10, "ann"), storage="memory://history-facts")
    report = find_history_facts(imp)
    assert (report.days, report.events, report.persons) == (2, 2, 1)


def test_a_look_that_was_stopped_for_long_writes_nothing_more(staged: Staged) -> None:
    imp = staged(act(1, 1, 10, "ann"), act(2, 2, 10, "ann"), storage="memory://stopped-facts")
    seconds, steps = 1000.0, []

    def stop(step: str) -> None:
        nonlocal seconds
        steps.append(step)
        seconds += 50

    stopped = imp.stored_in(Store(imp.storage_url, imp.name, timing=Timing(now=lambda: seconds)))
    with pytest.raises(PartitionLost, match="no longer holds small/history_facts for all"):
        find_history_facts(stopped, stop)
    assert (steps, imp.store.names("history_facts")) == (
        ["who was seen under which ids", "what each person did"], ["links.parquet"]
    )  # fmt: skip


def test_a_first_event_is_followed_by_an_event_of_its_own(staged: Staged) -> None:
    imp = staged(
        act(1, 1, 9, "ann", what="look"), act(2, 1, 10, "ann"), act(3, 1, 11, "ann"), act(4, 2, 10, "ann"),
        mapping={"first_events": {"buy": "first purchase"}, "events": {"buy": "bought"}},
    )  # fmt: skip
    find_history_facts(imp)
    report = transform_day(imp, date(2024, 3, 1))
    rows = [row for batch in stored_events(imp.store, date(2024, 3, 1)) for row in batch.to_pylist()]
    assert [row["event"] for row in rows] == ["look", "bought", "first purchase", "bought"]
    first, made = rows[1], rows[2]
    assert (made["distinct_id"], made["timestamp"]) == (first["distinct_id"], first["timestamp"])
    assert (made["source_id"], made["raw_part"]) == (None, None)
    assert made["uuid"] != first["uuid"]
    assert "$is_first_time" not in orjson.loads(first["properties"])
    assert (report.rows, report.derived, report.staged) == (4, 1, 3)
    assert transform_day(imp, date(2024, 3, 2)).derived == 0
    # Made again, it is the same event.
    transform_day(imp, date(2024, 3, 1))
    assert [row for batch in stored_events(imp.store, date(2024, 3, 1)) for row in batch.to_pylist()] == rows


def test_a_first_event_that_is_not_sent_makes_none_and_person_properties_are_said_once(staged: Staged) -> None:
    records = [act(1, 1, 10, "ann") | {"plan": "pro"}, act(2, 1, 10, "bob") | {"bad": "x"}]
    dialect = DIALECT | {"person_properties": ["plan"]}
    imp = staged(*records, mapping={"first_events": {"buy": "first purchase"}})
    imp = imp.model_copy(update={"dialect": type(imp.dialect).model_validate(dialect)})
    stage_day(imp, date(2024, 3, 1))
    find_history_facts(imp)
    transform_day(imp, date(2024, 3, 1))
    rows = [row for batch in stored_events(imp.store, date(2024, 3, 1)) for row in batch.to_pylist()]
    assert ["$set_once" in row["properties"] for row in rows if row["distinct_id"] == "ann"] == [True, False]
    imp = staged(*records, mapping={"first_events": {"buy": "first purchase"}, "events": {"buy": None}})
    transform_day(imp, date(2024, 3, 1))
    rows = [row for batch in stored_events(imp.store, date(2024, 3, 1)) for row in batch.to_pylist()]
    assert {row["event"] for row in rows} == {"buy"}


def test_a_first_event_needs_a_name_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="is the name of the event itself"):
        small_import(tmp_path, mapping={"first_events": {"buy": "buy"}})
    with pytest.raises(ImportFileError, match="event name is empty"):
        small_import(tmp_path, mapping={"first_events": {"buy": " "}})
