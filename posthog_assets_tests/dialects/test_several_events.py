"""One record that becomes several events: which it has, their ids, and that the rows still add up."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.instants import Window
from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects import load_dialect
from posthog_assets.dialects.notes import Notes, notes_of
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.sources.formats import Unreadable
from posthog_assets_tests.conftest import small_attributes
from posthog_assets_tests.dialects.staging import stage

DAY = date(2024, 3, 1)
DIALECT: dict[str, Any] = {
    "type": "columns",
    "events": [
        {"event": {"value": "signed up"}, "timestamp": {"column": "created_at"}},
        {"event": {"value": "trial started"}, "timestamp": {"column": "trial_at"}},
    ],
    "user_id": {"column": "email"},
    "source_id": {"column": "id"},
}
ANN: dict[str, Any] = {
    "id": "7",
    "email": "ann@x.de",
    "created_at": "2024-03-01T10:00:00Z",
    "trial_at": "2024-03-02T09:00:00Z",
    "plan": "pro",
}


def brief(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["event"], row["source_id"], row["timestamp"], row["event_number"]) for row in rows]


def test_a_record_becomes_one_event_for_each_of_its_times() -> None:
    assert brief(stage(DIALECT, ANN)) == [
        ("signed up", "7#signed up", datetime(2024, 3, 1, 10, tzinfo=UTC), 0),
        ("trial started", "7#trial started", datetime(2024, 3, 2, 9, tzinfo=UTC), 1),
    ]


@pytest.mark.parametrize("empty", [None, "", "absent"])
def test_a_time_without_a_value_makes_no_event(empty: str | None) -> None:
    record = {key: value for key, value in ANN.items() if key != "trial_at"}
    rows = stage(DIALECT, record if empty == "absent" else record | {"trial_at": empty})
    assert brief(rows) == [("signed up", "7#signed up", datetime(2024, 3, 1, 10, tzinfo=UTC), 0)]


def test_the_first_event_a_record_has_is_its_number_0() -> None:
    assert [row[3] for row in brief(stage(DIALECT, ANN | {"created_at": None}))] == [0]


def test_a_record_without_any_event_is_a_rejected_row() -> None:
    (row,) = stage(DIALECT, ANN | {"created_at": None, "trial_at": None})
    assert row["reject_reason"] == "none of its events has a time: created_at, trial_at are empty"
    assert (row["event"], row["raw_line"], row["event_number"]) == (None, 1, 0)


def test_a_time_that_cannot_be_read_rejects_its_event_only() -> None:
    rows = stage(DIALECT, ANN | {"trial_at": "soon"})
    assert [row["reject_reason"] for row in rows] == [None, "timestamp cannot be read: 'soon'"]


def test_an_unreadable_record_is_one_rejected_row() -> None:
    rows = stage(DIALECT, Unreadable("not valid JSON"), ANN)
    assert [(row["raw_line"], row["reject_reason"]) for row in rows] == [(1, "not valid JSON"), (2, None), (2, None)]


def test_rows_stay_in_the_order_of_the_records() -> None:
    rows = stage(DIALECT, ANN, ANN | {"id": "8", "created_at": None}, ANN | {"id": "9"})
    assert [row["source_id"] for row in rows] == [
        "7#signed up", "7#trial started", "8#trial started", "9#signed up", "9#trial started",
    ]  # fmt: skip


def test_times_of_events_are_properties_of_none() -> None:
    assert [row["properties"] for row in stage(DIALECT, ANN)] == [{"plan": "pro"}, {"plan": "pro"}]


def test_columns_of_csv_without_a_value_make_no_event() -> None:
    rows = stage(DIALECT | {"nulls": ["-"]}, ANN | {"trial_at": "-"}, untyped=True)
    assert [row["event"] for row in rows] == ["signed up"]


def test_a_key_replaces_the_name_in_the_id() -> None:
    events = [DIALECT["events"][0] | {"key": "a"}, DIALECT["events"][1]]
    assert [row["source_id"] for row in stage(DIALECT | {"events": events}, ANN)] == ["7#a", "7#trial started"]


def test_an_event_that_is_added_later_changes_no_other() -> None:
    more = [{"event": {"value": "churned"}, "timestamp": {"column": "churned_at"}}, *DIALECT["events"]]
    rows = stage(DIALECT | {"events": more}, ANN | {"churned_at": "2024-04-01T00:00:00Z"})
    assert [row["source_id"] for row in rows] == ["7#churned", "7#signed up", "7#trial started"]


def test_two_events_of_one_name_need_a_key() -> None:
    with pytest.raises(ValueError, match="two events are called 'signed up'"):
        load_dialect(DIALECT | {"events": [DIALECT["events"][0]] * 2})


def test_one_event_beside_the_list_is_refused() -> None:
    with pytest.raises(ValueError, match="event belong into each of events"):
        load_dialect(DIALECT | {"event": {"value": "x"}})


def test_a_wrong_event_of_the_list_is_named(tmp_path: Path) -> None:
    dialect = DIALECT | {"events": [{"event": {"value": "x"}, "timestamp": {"colunm": "at"}}]}
    with pytest.raises(ImportFileError, match=r"dialect.events.0.timestamp.column: is required") as error:
        Import.read(small_attributes(tmp_path, dialect=dialect))
    assert "dialect.events:" not in str(error.value)


def test_the_zone_of_the_source_is_that_of_all_times_without_one() -> None:
    dialect = load_dialect(DIALECT).with_timezone("Europe/Berlin")
    assert [event.timestamp.timezone for event in dialect.events] == ["Europe/Berlin"] * 2  # type: ignore[attr-defined]


def test_it_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(load_dialect(DIALECT))) == load_dialect(DIALECT)


def test_raw_records_and_further_events_are_the_staged_rows_and_all_events_have_a_uuid_of_their_own(
    tmp_path: Path,
) -> None:
    records: list[dict[str, Any]] = [
        ANN | {"id": str(number), "trial_at": ANN["trial_at"] if number % 3 else None} for number in range(9)
    ]
    records.append(ANN | {"id": "x", "created_at": None, "trial_at": None})
    (tmp_path / "exports").mkdir()
    lines = [*map(json.dumps, records), "{broken"]
    (tmp_path / "exports/2024-03-01.jsonl").write_text("\n".join(lines) + "\n")
    imp = Import.read(small_attributes(tmp_path, dialect=DIALECT))
    export_day(imp, DAY)
    staging = stage_day(imp, DAY)
    assert (staging.raw_records, staging.further, staging.rows, staging.rejected) == (11, 6, 17, 2)
    mapping = transform_day(imp, DAY)
    assert (mapping.staged, mapping.staged_rejected, mapping.rows, mapping.rejected) == (17, 2, 15, 0)
    assert mapping.events_by_name == {"signed up": 9, "trial started": 6}
    assert mapping.reused_ids == 0


def test_the_times_that_a_day_can_have_hold_for_every_event() -> None:
    window = Window.of(date(2024, 1, 1), datetime(2024, 6, 1, tzinfo=UTC))
    dialect = load_dialect(DIALECT)
    assert dialect.stage(RecordChunk([1], [ANN]), "part").num_rows == 2
    again = dialect.within(window)
    assert [reader._window for reader in again._readers] == [window, window]  # type: ignore[attr-defined]


def batches(dialect: dict[str, Any], *records: Any) -> list[list[tuple[Any, ...]]]:
    """Return what `brief` has of each batch that the records become."""
    chunk = RecordChunk(range(1, len(records) + 1), list(records), remarks={"odd": 1})
    found = list(load_dialect(dialect).batches(chunk, "part"))
    assert [notes_of(batch.schema.metadata).remarks for batch in found] == [{"odd": 1}] + [{}] * (len(found) - 1)
    return [
        [(row["raw_line"], row["event"], row["event_number"], row["reject_reason"]) for row in batch.to_pylist()]
        for batch in found
    ]


def ten_events(**more: Any) -> dict[str, Any]:
    events = [{"event": {"value": f"e{n}"}, "timestamp": {"column": f"at{n}"}} for n in range(10)]
    return DIALECT | {"events": events} | more


def with_times(number: int, times: int = 10, **more: Any) -> dict[str, Any]:
    return {"id": number, "email": "e"} | {f"at{n}": "2024-03-01T10:00:00Z" for n in range(times)} | more


def test_short_records_become_one_batch() -> None:
    found = batches(ten_events(), *(with_times(number) for number in range(30)))
    assert [[row[0] for row in batch] for batch in found] == [[line for line in range(1, 31) for _ in range(10)]]


def test_long_records_become_a_batch_for_a_few_of_them_in_the_same_order() -> None:
    records = [with_times(number, note="x" * 600_000) for number in range(3)]
    found = batches(ten_events(), *copy.deepcopy(records))
    assert [len(batch) for batch in found] == [10, 20]
    rows = [row for batch in found for row in batch]
    assert rows == [(line, f"e{n}", n, None) for line in range(1, 4) for n in range(10)]
    whole = stage(ten_events(), *records)
    assert [(row["raw_line"], row["event"], row["event_number"], row["reject_reason"]) for row in whole] == rows


def test_each_event_of_a_very_long_record_is_a_batch_and_the_records_beside_it_are_whole() -> None:
    long = with_times(1, 5, note="x" * 4_500_000, at1=None, at3="soon")
    found = batches(ten_events(), with_times(0, 2), long, with_times(2, 0), Unreadable("not valid JSON"))
    none = "none of its events has a time: at0, at1, at2, at3, at4, at5, at6, at7, at8, at9 are empty"
    assert [row for batch in found for row in batch] == [
        (1, "e0", 0, None),
        (1, "e1", 1, None),
        (2, "e0", 0, None),
        (2, "e2", 1, None),
        (2, None, 2, "timestamp cannot be read: 'soon'"),
        (2, "e4", 3, None),
        (3, None, 0, none),
        (4, None, 0, "not valid JSON"),
    ]
    assert [len(batch) for batch in found] == [2, 1, 1, 1, 1, 2]


def test_columns_left_out_are_counted_once_for_each_event_however_long_the_records_are() -> None:
    dialect = ten_events(properties=["note"])
    for note in ("x", "x" * 600_000):
        records = [with_times(number, note=note, other=1) for number in range(3)]
        counts = Notes()
        for batch in load_dialect(dialect).batches(RecordChunk(range(3), records), "part"):
            counts.add(notes_of(batch.schema.metadata))
        assert counts.fields_left_out == {"other": 30}


def test_a_day_of_long_records_in_ten_events_adds_up_and_only_what_no_event_can_hold_is_rejected(
    tmp_path: Path,
) -> None:
    (tmp_path / "exports").mkdir()
    records = [with_times(n, note="x" * size) for n, size in enumerate((10, 1_200_000, 4_300_000, 20))]
    (tmp_path / "exports/2024-03-01.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    imp = Import.read(small_attributes(tmp_path, dialect=ten_events()))
    export_day(imp, DAY)
    report = stage_day(imp, DAY)
    assert (report.raw_records, report.further, report.rows) == (4, 36, 40)
    assert report.reject_reasons == {"longer than 4 MiB when it is read": 10}
    mapped = transform_day(imp, DAY)
    assert mapped.reject_reasons == {"event is larger than 900,000 bytes": 10}
