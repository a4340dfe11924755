"""The same text is the same instant wherever it is read: in every dialect, in a step, and where days are told apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from posthog_assets.core.instants import Window
from posthog_assets.core.records import RecordChunk
from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.dialects import load_dialect
from posthog_assets.sources.files.record_days import Days
from posthog_assets_tests.mapping.steps.applying import left

WINDOW = Window.of(date(2024, 3, 1), datetime(2024, 3, 5, tzinfo=UTC))

#: A record of each dialect, but for its time, which stands at the path.
RECORDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "columns": (
        {"event": {"value": "e"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}}, {"u": "a"}, "t",
    ),
    "amplitude": ({}, {"uuid": "1", "event_type": "e", "user_id": "a"}, "event_time"),
    "mixpanel": ({}, {"event": "e", "properties": {"distinct_id": "a", "$insert_id": "1"}}, "properties.time"),
    "segment": ({}, {"type": "track", "event": "e", "userId": "a", "messageId": "1"}, "timestamp"),
    "rudderstack": ({}, {"type": "track", "event": "e", "userId": "a", "messageId": "1"}, "originalTimestamp"),
    "posthog": ({}, {"uuid": "1", "event": "e", "distinct_id": "a", "properties": {}}, "timestamp"),
    "heap": ({"table": "e"}, {"event_id": "1", "identity": "a"}, "time"),
    "snowplow": ({}, {"event_id": "1", "event": "struct", "se_action": "e", "user_id": "a"}, "derived_tstamp"),
    "matomo": ({}, {"userId": "a", "actionDetails": {"type": "action", "url": "u"}}, "actionDetails.timestamp"),
    "pendo": ({}, {"eventId": "1", "eventType": "load", "visitorId": "a"}, "browserTimestamp"),
    "ga4": ({}, {"event_name": "e", "user_id": "a"}, "event_timestamp"),
}  # fmt: skip


def by_dialect(name: str) -> Callable[[Any], str | None]:
    settings, record, path = RECORDS[name]
    dialect: Any = load_dialect({"type": name} | settings).within(WINDOW)

    def read(value: Any) -> str | None:
        made: dict[str, Any] = {key: dict(item) if isinstance(item, dict) else item for key, item in record.items()}
        *above, last = path.split(".")
        holder = made
        for key in above:
            holder = holder[key]
        holder[last] = value
        row = dialect.stage(RecordChunk([1], [made]), "part").to_pylist()[0]
        return row["timestamp"].isoformat() if row["timestamp"] else None

    return read


def by_step(value: Any) -> str | None:
    made = left({"step": "types", "types": {"x": "timestamp"}, "on_failure": None}, {"x": value})["x"]
    return made.replace("Z", "+00:00") if made else None


FORMS: list[tuple[Any, str]] = [
    ("2024-03-01T10:00:00Z", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01T10:00:00z", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01 10:00:00", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01 10:00:00 UTC", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01 10:00:00.5 UTC", "2024-03-01T10:00:00.500000+00:00"),
    ("2024-03-01 10:00:00UTC", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01 10:00:00 GMT", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01 10:00:00+00", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01 11:00:00 +0100", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01 11:00:00.25 +0100 CET", "2024-03-01T10:00:00.250000+00:00"),
    ("2024-03-01T11:00:00+01:00[Europe/Berlin]", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01 11:00:00.000 Europe/Berlin", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01T10:00:00.123456789Z", "2024-03-01T10:00:00.123456+00:00"),
    ("  2024-03-01T10:00:00Z ", "2024-03-01T10:00:00+00:00"),
    ("2024-03-01", "2024-03-01T00:00:00+00:00"),
    ("20240301T100000Z", "2024-03-01T10:00:00+00:00"),
    (datetime(2024, 3, 1, 10, tzinfo=UTC), "2024-03-01T10:00:00+00:00"),
    (date(2024, 3, 1), "2024-03-01T00:00:00+00:00"),
]

NUMBERS: list[tuple[Any, str]] = [
    (20240301, "2024-03-01T00:00:00+00:00"),
    (202403011030, "2024-03-01T10:30:00+00:00"),
    (20240301103015, "2024-03-01T10:30:15+00:00"),
    (20240301103015250, "2024-03-01T10:30:15.250000+00:00"),
    (1709287200, "2024-03-01T10:00:00+00:00"),
    (1709287200.25, "2024-03-01T10:00:00.250000+00:00"),
    (1709287200123, "2024-03-01T10:00:00.123000+00:00"),
    (1709287200123456, "2024-03-01T10:00:00.123456+00:00"),
    (1709287200123456789, "2024-03-01T10:00:00.123456+00:00"),
]

#: GA4 counts µs, whatever the number is.
GUESSING = [name for name in RECORDS if name != "ga4"]


@pytest.mark.parametrize("name", RECORDS)
def test_every_dialect_reads_every_form_alike(name: str) -> None:
    read = by_dialect(name)
    assert [(form, read(form)) for form, _ in FORMS] == FORMS


@pytest.mark.parametrize("name", GUESSING)
def test_every_dialect_reads_numbers_and_their_texts_alike(name: str) -> None:
    read = by_dialect(name)
    assert [(number, read(number)) for number, _ in NUMBERS] == NUMBERS
    assert [(number, read(str(number))) for number, _ in NUMBERS] == NUMBERS


def test_a_step_reads_every_form_like_a_dialect() -> None:
    texts = [(form, instant) for form, instant in (*FORMS, *NUMBERS) if not isinstance(form, date)]
    assert [(form, by_step(form)) for form, _ in texts] == texts
    assert [by_step(str(number)) for number, _ in NUMBERS] == [instant for _, instant in NUMBERS]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles"])
def test_the_day_of_a_record_is_that_of_its_instant(zone: str) -> None:
    days, info = Days(ZoneInfo(zone) if zone != "UTC" else UTC, window=WINDOW), ZoneInfo(zone)
    for form, _ in (*FORMS, *NUMBERS):
        for value in (form,) if isinstance(form, str | date) else (form, str(form)):
            (stamp,) = read_timestamps([value], zone, window=WINDOW)[0].to_pylist()
            assert (value, days(value)) == (value, stamp.astimezone(info).date().isoformat())


@pytest.mark.parametrize(("form", "instant"), [*FORMS, *NUMBERS])
def test_many_at_once_read_as_one_alone(form: Any, instant: str) -> None:
    for values in ([form], [form, form], [form, None], [form, "x"]):
        stamps, _ = read_timestamps(values, "UTC", window=WINDOW)
        assert stamps[0].as_py().isoformat() == instant


def test_a_zone_in_the_text_wins_over_every_setting() -> None:
    for text in ("2024-03-01 10:00:00 UTC", "2024-03-01T10:00:00Z", "2024-03-01 11:00:00+01", "2024-03-01 10:00 GMT"):
        (stamp,) = read_timestamps([text], "Asia/Tokyo")[0].to_pylist()
        assert stamp == datetime(2024, 3, 1, 10, tzinfo=UTC)
    (named,) = read_timestamps(["2024-03-01 10:00:00 UTC"], "Europe/Berlin", "%Y-%m-%d %H:%M:%S %Z")[0].to_pylist()
    assert named == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert Days(ZoneInfo("Europe/Berlin"))("2024-03-01 23:30:00 UTC") == "2024-03-02"


@pytest.mark.parametrize(
    ("pattern", "text", "instant"),
    [
        ("%Y-%m-%d %H:%M:%S %Z", "2024-03-01 10:00:00.5 UTC", "2024-03-01T10:00:00.500000+00:00"),
        ("%Y-%m-%d %H:%M:%S %Z", "2024-03-01 10:00:00 Europe/Berlin", "2024-03-01T09:00:00+00:00"),
        ("%Y-%m-%d %H:%M:%S.%f %Z", "2024-03-01 10:00:00 UTC", "2024-03-01T10:00:00+00:00"),
        ("%Y/%m/%d %H:%M:%S", "2014/10/22 11:15:41", "2014-10-22T09:15:41+00:00"),
        ("%Y/%m/%d %H:%M:%S", "2014/10/22 11:15:41.000", "2014-10-22T09:15:41+00:00"),
        ("%Y/%m/%d %H:%M:%S.%f", "2014/10/22 11:15:41.123456789", "2014-10-22T09:15:41.123456+00:00"),
        ("%d.%m.%Y", "01.03.2024", "2024-02-29T23:00:00+00:00"),
        ("%d/%b/%Y:%H:%M:%S %z", "10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36+00:00"),
        ("%a, %d %b %Y %H:%M:%S %Z", "Fri, 01 Mar 2024 10:00:00 GMT", "2024-03-01T10:00:00+00:00"),
        ("%Y%m%d", 20240301, "2024-02-29T23:00:00+00:00"),
        ("%Y%m%d%H", 2024030110, "2024-03-01T09:00:00+00:00"),
        ("%Y%m%d", 1709287200, "2024-03-01T10:00:00+00:00"),
    ],
)
def test_a_pattern_reads_fractions_zones_and_numbers(pattern: str, text: Any, instant: str) -> None:
    for values in ([text], [text, object()]):
        stamps, _ = read_timestamps(values, "Europe/Berlin", pattern, window=WINDOW)
        assert stamps[0].as_py().isoformat() == instant


@pytest.mark.parametrize("text", ["2024-03-01 10:00:00 CST", "2024-03-01 10:00:00 Europe/Atlantis", "10:00 UTC"])
def test_a_zone_that_is_several_or_none_is_not_guessed(text: str) -> None:
    assert read_timestamps([text], "UTC")[1] == {0: f"timestamp cannot be read: {text!r}"}
    by_pattern = read_timestamps([text], "UTC", "%Y-%m-%d %H:%M:%S %Z")[1]
    assert by_pattern == {0: f"timestamp cannot be read: {text!r}"}


OUTSIDE = "and its times are from 2004-01-01 to 2024-03-05"


@pytest.mark.parametrize(
    ("value", "readings"),
    [
        (0, "1970-01-01T00:00:00Z as seconds since 1970"),
        (45352.5, "1970-01-01T12:35:52.500000Z as seconds since 1970"),
        (Decimal("45352.5"), "1970-01-01T12:35:52.500000Z as seconds since 1970"),
        (-86400, "1969-12-31T00:00:00Z as seconds since 1970"),
        (202403, "1970-01-03T08:13:23Z as seconds since 1970"),
        (19890301, "1970-08-19T05:05:01Z as seconds since 1970 and 1989-03-01T00:00:00Z as the digits of a date"),
        (203103011030, "1976-06-08T17:30:11.030000Z as milliseconds since 1970 and 2031-03-01T10:30:00Z as the digits "
         "of a date"),
        (1924992000, "2031-01-01T00:00:00Z as seconds since 1970"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", GUESSING)
def test_a_number_with_no_plausible_reading_is_rejected_with_both(name: str, value: Any, readings: str) -> None:
    settings, _, _ = RECORDS[name]
    dialect: Any = load_dialect({"type": name} | settings).within(WINDOW)
    stamps, reasons = dialect.instants([value, str(value)]) if name != "columns" else _by_columns(dialect, value)
    head = f"timestamp is not plausible for this import: {value} is {readings}, {OUTSIDE}"
    assert stamps.null_count == 2
    assert (reasons[0][: len(head)], reasons[1][: len(head)]) == (head, head)


def _by_columns(dialect: Any, value: Any) -> Any:
    return dialect.timestamps([{"t": value}, {"t": str(value)}])


def test_a_number_with_two_plausible_readings_is_rejected_with_both() -> None:
    late = Window.of(date(2034, 1, 1), datetime(2034, 6, 1, tzinfo=UTC))
    for value in (2024030110, "2024030110"):
        assert read_timestamps([value], "UTC", window=late)[1] == {
            0: "timestamp is ambiguous: 2024030110 is 2034-02-20T06:35:10Z as seconds since 1970 and "
            "2024-03-01T10:00:00Z as the digits of a date, and its times are from 2014-01-01 to 2034-06-01"
        }


def test_a_unit_or_a_pattern_settles_what_a_number_means() -> None:
    assert (
        read_timestamps([0, "0"], "UTC", unit="s", window=WINDOW)[0].to_pylist()
        == [datetime(1970, 1, 1, tzinfo=UTC)] * 2
    )
    (day,) = read_timestamps([19890301], "UTC", "%Y%m%d", window=WINDOW)[0].to_pylist()
    assert day == datetime(1989, 3, 1, tzinfo=UTC)
    row = load_dialect(
        {"type": "columns", "event": {"value": "e"}, "user_id": {"column": "u"}, "timestamp": {"column": "t"}}
    ).within(WINDOW).stage(RecordChunk([1], [{"u": "a", "t": 0}]), "part").to_pylist()[0]  # fmt: skip
    assert row["reject_reason"].endswith("; dialect.timestamp.format or dialect.timestamp.unit settles it")


@pytest.mark.parametrize("pattern", ["%s", "%Q", "%Y-%"])
def test_a_pattern_that_cannot_be_read_by_is_refused_when_the_file_is_read(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no strptime pattern"):
        load_dialect(
            {"type": "columns", "event": {"value": "e"}, "user_id": {"column": "u"},
             "timestamp": {"column": "t", "format": pattern}}
        )  # fmt: skip
