"""What Dagster shows of a stored day: hours, first rows, links; and that none of it outgrows its place."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.markers import MARKERS
from posthog_assets.core.schemas import LANDED_EVENTS, LEDGER, POSTHOG_EVENTS, STAGED_VERSIONS
from posthog_assets.destination.explore import explore_url
from posthog_assets.destination.settings import Destination
from posthog_assets.mapping import Mapping
from posthog_assets.orchestration.assets.declaration import column_schema, version_of
from posthog_assets.orchestration.assets.metadata import day_profile, draw, in_posthog, speed, table
from posthog_assets.pipeline.day_state.profile import BARS, first_rows, hours, span
from posthog_assets_tests.conftest import small_import

DAY = date(2024, 3, 1)


def stored(*rows: dict[str, object]) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=POSTHOG_EVENTS), file)
    file.seek(0)
    return file


def at(text: str) -> dict[str, object]:
    return {"event": "click", "timestamp": datetime.fromisoformat(text).replace(tzinfo=UTC), "properties": "{}"}


def test_events_of_one_day_are_shown_over_the_whole_day() -> None:
    found = hours(stored(at("2024-03-01T00:10:00"), at("2024-03-01T00:59:59.999999"), at("2024-03-01T23:00:00")), DAY)
    assert (found.start, found.width, found.end) == (
        datetime(2024, 3, 1, tzinfo=UTC),
        1,
        datetime(2024, 3, 2, tzinfo=UTC),
    )
    assert found.counts == [2, *[0] * 22, 1]


def test_events_of_other_days_widen_the_bars_and_none_is_left_out() -> None:
    found = hours(stored(at("2024-02-01T05:00:00"), at("2024-03-01T10:00:00"), at("2024-03-01T11:00:00")), DAY)
    assert (found.start, found.width, sum(found.counts)) == (datetime(2024, 2, 1, tzinfo=UTC), 24, 3)
    ancient = hours(stored(at("1066-10-14T09:00:00"), at("2024-03-01T10:00:00")), DAY)
    assert sum(ancient.counts) == 2
    assert len(ancient.counts) <= BARS


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
        ("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999"),
        ("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"),
    ],
)
def test_the_ends_of_the_calendar_are_shown_too(first: str, last: str) -> None:
    file = stored(at(first), at(last))
    found, ends = hours(file, DAY), span(file)
    assert sum(found.counts) == 2
    assert found.start <= found.end
    assert ends
    destination = Destination.model_validate({"host": "https://posthog.shop.example", "project_id": 1})
    assert explore_url(destination, {}, ends)


def test_a_day_without_times_has_no_picture_and_no_span() -> None:
    assert hours(stored(), DAY).counts == []
    assert span(stored()) is None
    assert hours(stored({"event": "click", "properties": "{}"}), DAY).counts == []


def test_the_span_is_read_from_the_footer() -> None:
    file = stored(at("2024-03-01T10:00:00"), at("2024-02-29T10:00:00"))
    assert span(file) == (datetime(2024, 2, 29, 10, tzinfo=UTC), datetime(2024, 3, 1, 10, tzinfo=UTC))


def test_first_rows_are_short_and_without_the_properties_every_event_carries() -> None:
    properties = json.dumps({"$import_day": "2024-03-01", "$geoip_disable": True, "note": "x" * 200})
    (row,) = first_rows(
        stored(at("2024-03-01T10:00:00") | {"properties": properties, "distinct_id": "a\nb\x1b[31m"}),
        ["event", "distinct_id", "timestamp", "properties", "source_id"],
        MARKERS,
    )
    assert row == {
        "event": "click",
        "distinct_id": "a\\nb\\u001b[31m",
        "timestamp": "2024-03-01 10:00:00.000",
        "properties": '{"note":"' + "x" * 70 + "…",
        "source_id": "",
    }


def test_first_rows_off_keeps_event_data_out_of_dagster(tmp_path: Path) -> None:
    for shown, entries in ((True, {"events_by_hour", "first_rows"}), (False, {"events_by_hour"})):
        imp = small_import(tmp_path, first_rows=shown)
        imp.store.write_bytes("day.parquet", stored(at("2024-03-01T10:00:00")).getvalue())
        assert day_profile(imp, "day.parquet", DAY, ["event"]).keys() == entries


def test_pictures_and_links_stay_below_the_length_at_which_dagster_hides_them(tmp_path: Path) -> None:
    imp = small_import(
        tmp_path, name="n" * 64, destination={"host": "https://eu.i.posthog.com", "project_id": "12345678"}
    )
    start = datetime(2024, 3, 1, 0, 0, 0, 123456, tzinfo=UTC)
    rows = [at("2024-03-01T00:00:00") | {"timestamp": start + timedelta(hours=n // (n % 7 + 1))} for n in range(500)]
    imp.store.write_bytes("day.parquet", stored(*rows).getvalue())
    shown = day_profile(imp, "day.parquet", DAY, ["event"]) | in_posthog(imp, "day.parquet", DAY)
    assert len(shown["events_by_hour"].value) < 1000
    assert len(shown["in_posthog"].value) < 1000
    assert len(draw([10**9] * BARS)) < 600


def test_the_link_opens_the_days_events_in_posthog() -> None:
    destination = Destination.model_validate({"host": "https://eu.i.posthog.com", "project_id": 7})
    ends = datetime(2024, 3, 1, 10, tzinfo=UTC), datetime(2024, 3, 1, 11, tzinfo=UTC)
    url = explore_url(destination, {"$import_job_id": "shop", "$import_day": "2024-03-01"}, ends)
    assert url
    page, _, state = url.partition("#q=")
    assert page == "https://eu.posthog.com/project/7/activity/explore"
    assert not set("+&= ") & set(state)
    assert json.loads(unquote(state)) == {
        "kind": "DataTableNode",
        "full": True,
        "source": {
            "kind": "EventsQuery",
            "select": ["*", "event", "person", "timestamp"],
            "after": "2024-03-01T09:59:59+00:00",
            "before": "2024-03-01T11:00:01+00:00",
            "properties": [
                {"type": "event", "key": "$import_job_id", "operator": "exact", "value": ["shop"]},
                {"type": "event", "key": "$import_day", "operator": "exact", "value": ["2024-03-01"]},
            ],
        },
    }


@pytest.mark.parametrize("settings", [{"project_id": 7}, {"host": "https://eu.i.posthog.com"}])
def test_without_host_or_project_there_is_no_link(settings: dict[str, object]) -> None:
    now = datetime.now(UTC)
    assert explore_url(Destination.model_validate(settings), {"a": "b"}, (now, now)) is None


def test_nothing_to_count_shows_nothing() -> None:
    assert table("rejected_by_reason", {}, "reason") == {}
    assert speed(0, 2.0) == {"seconds": 2.0}
    assert speed(10, 2.0) == {"seconds": 2.0, "events_per_second": 5.0}


def test_every_column_of_every_asset_says_what_it_means() -> None:
    for schema in (STAGED_VERSIONS, POSTHOG_EVENTS, LEDGER, LANDED_EVENTS):
        assert [column.name for column in column_schema(schema).columns if not column.description] == []


def test_a_changed_mapping_changes_the_code_version_and_an_equal_one_does_not() -> None:
    one, same, other = (Mapping.model_validate({"events": {"a": name}}) for name in ("b", "b", "c"))
    assert version_of("1", one) == version_of("1", same)
    assert version_of("1", one) != version_of("1", other)
    assert version_of("1", one) != version_of("2", one)


def test_an_owner_that_dagster_would_refuse_is_refused_in_one_sentence(tmp_path: Path) -> None:
    assert small_import(tmp_path, owners=["data@shop.example", "team:growth"]).owners[1] == "team:growth"
    with pytest.raises(ImportFileError, match="owners: growth must be a mail address, or team: and a name"):
        small_import(tmp_path, owners=["growth"])
