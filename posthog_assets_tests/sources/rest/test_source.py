"""A day of an API as a raw export: pages, windows, borders, and what is refused."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError, NoExport, SourceRefused
from posthog_assets.sources import RawExport, load_source
from posthog_assets.sources.account import Account
from posthog_assets.sources.base import Scope
from posthog_assets.storage.store import Store
from posthog_assets_tests.fakes.export_server import Asked, Reply
from posthog_assets_tests.fakes.records_api import (
    DAY,
    TOKEN,
    Paging,
    RecordsApi,
    day_of_records,
    record,
    settings,
)
from posthog_assets_tests.sources.rest.exporting import ALL, FIRST, export, ids_by_day, ids_of, records_of


def test_a_response_is_a_part_byte_for_byte(tmp_path: Path) -> None:
    sent: list[bytes] = []

    def keep(asked: Asked, reply: Reply) -> Reply:
        sent.append(reply.body)
        return reply

    with RecordsApi(day_of_records(), script=keep) as api:
        raw = export(settings(api.url), tmp_path)
    pinned = []
    for part in raw.parts():
        with raw.open(part) as file:
            pinned.append(file.read())
    assert pinned == sent
    assert [part.name for part in raw.parts()] == [f"page-{n:05d}.json" for n in (1, 2, 3, 4)]
    assert [part.records for part in raw.parts()] == [3, 3, 3, 1]


def test_a_compressed_answer_stays_compressed(tmp_path: Path) -> None:
    with RecordsApi(day_of_records(), script=lambda asked, reply: reply.gzipped()) as api:
        raw = export(settings(api.url), tmp_path)
    assert ids_of(raw) == ALL
    with raw.open(raw.parts()[0]) as file:
        assert json.loads(gzip.decompress(file.read()))["has_more"] is True


def test_a_day_is_asked_for_by_its_ends(tmp_path: Path) -> None:
    with RecordsApi([]) as api:
        export(settings(api.url, endpoint_params={"limit": 100, "status": ["open", "won"]}), tmp_path)
    assert api.requests[0].fields | {"status": "any"} == {
        "from": "1709251200", "to": "1709337600", "limit": "100", "status": "any",
    }  # fmt: skip


def test_a_day_without_records_is_a_page_without_records(tmp_path: Path) -> None:
    with RecordsApi([]) as api:
        raw = export(settings(api.url), tmp_path)
    assert [(part.name, part.records) for part in raw.parts()] == [("page-00001.json", 0)]


def test_a_day_that_is_pinned_is_not_asked_for_again(tmp_path: Path) -> None:
    with RecordsApi(day_of_records()) as api:
        export(settings(api.url), tmp_path)
        asked = len(api.requests)
        export(settings(api.url), tmp_path)
        assert len(api.requests) == asked == 4


@pytest.mark.parametrize("start_exclusive", [False, True])
@pytest.mark.parametrize("end_inclusive", [False, True])
def test_borders_of_days_lose_and_repeat_nothing(start_exclusive: bool, end_inclusive: bool, tmp_path: Path) -> None:
    paging = Paging(start_exclusive=start_exclusive, end_inclusive=end_inclusive)
    records = [record(n, DAY + timedelta(hours=12 * n)) for n in range(6)]
    records.append(record(6, DAY + timedelta(hours=24) - timedelta(milliseconds=250)))
    with RecordsApi(records, paging) as api:
        section = settings(api.url, start_exclusive=start_exclusive, end_inclusive=end_inclusive)
        assert ids_by_day(section, tmp_path, 3) == ["r0", "r1", "r6", "r2", "r3", "r4", "r5"]


def test_a_filter_the_api_ignores_is_an_error_not_a_loss(tmp_path: Path) -> None:
    records = [record(n, DAY + timedelta(hours=12 * n)) for n in range(6)]
    with RecordsApi(records, Paging(ignores=frozenset({"to"}))) as api:
        with pytest.raises(SourceRefused, match="cursor_path must be the field the API filters by"):
            export(settings(api.url), tmp_path)


def test_records_outside_may_be_left_to_their_own_day(tmp_path: Path) -> None:
    records = [record(n, DAY + timedelta(hours=12 * n)) for n in range(6)]
    with RecordsApi(records, Paging(ignores=frozenset({"to"}))) as api:
        assert ids_by_day(settings(api.url, outside="skip"), tmp_path, 3) == [f"r{n}" for n in range(6)]


def test_newest_first_passes_over_what_is_newer_and_stops_at_what_is_older(tmp_path: Path) -> None:
    records = [record(n, DAY + timedelta(hours=6 * n)) for n in range(-8, 12)]
    with RecordsApi(records, Paging(newest_first=True)) as api:
        section = settings(
            api.url, order="newest_first",
            endpoint_incremental={"cursor_path": "at", "format": "epoch_seconds"},
        )  # fmt: skip
        raw = export(section, tmp_path)
        assert ids_of(raw) == ["r3", "r2", "r1", "r0"]
        assert [request.fields.get("place") for request in api.requests] == [None, "3", "6", "9", "12"]
    # Pages without a record of the day are noted, not kept.
    assert [(part.bytes > 0, part.records) for part in raw.parts()] == [
        (False, 0), (False, 0), (True, 1), (True, 3), (False, 0),
    ]  # fmt: skip


def test_another_order_than_the_promised_one_is_an_error(tmp_path: Path) -> None:
    with RecordsApi(day_of_records()) as api:
        section = settings(
            api.url, order="newest_first",
            endpoint_incremental={"cursor_path": "at", "format": "epoch_seconds"},
        )  # fmt: skip
        with pytest.raises(SourceRefused, match="another order of at"):
            export(section, tmp_path)


def test_oldest_first_without_an_end_stops_after_the_day(tmp_path: Path) -> None:
    records = [record(n, DAY + timedelta(hours=6 * n)) for n in range(40)]
    with RecordsApi(records) as api:
        section = settings(
            api.url, order="oldest_first",
            endpoint_incremental={"cursor_path": "at", "format": "epoch_seconds", "start_param": "from"},
        )  # fmt: skip
        assert ids_of(export(section, tmp_path)) == ["r0", "r1", "r2", "r3"]
        assert len(api.requests) == 2


def test_days_the_api_no_longer_has_are_refused(tmp_path: Path) -> None:
    with RecordsApi([]) as api:
        with pytest.raises(NoExport, match="keeps 30 days"):
            export(settings(api.url, horizon_days=30), tmp_path)
        assert api.requests == []


def test_a_day_that_is_not_complete_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoExport, match="is complete at"):
        export(settings("http://127.0.0.1:1", settle_minutes=60), tmp_path, day=date.today())  # noqa: DTZ011


def test_days_are_those_of_the_time_zone(tmp_path: Path) -> None:
    with RecordsApi([]) as api:
        export(settings(api.url, timezone="America/New_York"), tmp_path)
    assert api.requests[0].fields == {"from": "1709269200", "to": "1709355600"}


def test_the_ends_may_stand_in_a_body(tmp_path: Path) -> None:
    body = {"from": "{incremental.start_value}", "to": "{incremental.end_value}", "filter": {"kind": "any"}}
    with RecordsApi(day_of_records()) as api:
        section = settings(
            api.url, endpoint_method="POST", endpoint_json=body,
            endpoint_incremental={"cursor_path": "at", "format": "epoch_seconds"},
        )  # fmt: skip
        section["client"]["paginator"] = {
            "type": "cursor", "cursor_path": "next_place", "cursor_body_path": "place", "has_more_path": "has_more",
        }  # fmt: skip
        assert ids_of(export(section, tmp_path)) == ALL
    assert json.loads(api.requests[1].body) == {
        "from": 1709251200, "to": 1709337600, "filter": {"kind": "any"}, "place": 3,
    }  # fmt: skip


def test_a_key_in_the_url_is_in_no_manifest_and_goes_with_every_link(tmp_path: Path) -> None:
    def keyed(asked: Asked, reply: Reply) -> Reply:
        if asked.fields.get("api_key") != "s3cret key":
            return Reply(401)
        body = json.loads(
            api.reply(Asked("GET", asked.path, asked.fields, {"Authorization": f"Bearer {TOKEN}"}, b"")).body
        )
        # Some vendors repeat every parameter in their links.
        return Reply(body=json.dumps(body | {"next": body["next"] and body["next"] + "&api_key=s3cret+key"}).encode())

    with RecordsApi(day_of_records(), Paging("json_link"), keyed) as api:
        section = settings(api.url, "json_link")
        section["client"]["auth"] = {
            "type": "api_key", "name": "api_key", "api_key": "s3cret key", "location": "query",
        }  # fmt: skip
        assert ids_of(export(section, tmp_path)) == ALL
    assert "s3cret" not in (tmp_path / "shop/raw_export/2024-03-01/manifest.json").read_text()


def test_an_answer_that_is_to_be_ignored_is_nothing(tmp_path: Path) -> None:
    def gone(asked: Asked, reply: Reply) -> Reply:
        return (
            Reply(404, b'{"error": "deleted"}')
            if "/b/" in asked.path
            else Reply(body=b'{"data": [], "has_more": false}')
        )

    with RecordsApi([], script=gone) as api:
        section = settings(
            api.url, endpoint_path="of/{repo}/records", for_each={"name": "repo", "values": ["a", "b"]},
            endpoint_response_actions=[{"status_code": 404, "content": "deleted", "action": "ignore"}],
        )  # fmt: skip
        assert ids_of(export(section, tmp_path)) == []


def test_an_answer_may_say_that_it_is_too_much(tmp_path: Path) -> None:
    def at_most_six_hours(asked: Asked, reply: Reply) -> Reply:
        hours = (int(asked.fields["to"]) - int(asked.fields["from"])) / 3600
        return reply if hours <= 6 else Reply(400, b'{"error": "range too long"}')

    with RecordsApi(day_of_records(), script=at_most_six_hours) as api:
        section = settings(
            api.url, endpoint_response_actions=[{"status_code": 400, "content": "too long", "action": "halve"}]
        )
        assert ids_of(export(section, tmp_path)) == ALL


def test_whole_reads_everything_once_and_splits_it_by_day(tmp_path: Path) -> None:
    records = [record(n, DAY + timedelta(hours=8 * n)) for n in range(9)] + [record(9, DAY) | {"at": None}]
    with RecordsApi([], Paging("single_page")) as api:
        api.reply = lambda asked: api._page(records, asked.fields)  # type: ignore[method-assign]
        section = settings(api.url, "cursor", whole=True, day_column="at", endpoint_incremental=None)
        api.paging.style = "cursor"
        found = [ids_of(export(section, tmp_path, FIRST + timedelta(day))) for day in range(3)]
        assert found == [["r0", "r1", "r2", "r9"], ["r3", "r4", "r5"], ["r6", "r7", "r8"]]
        assert len(api.requests) == 4


def test_of_the_whole_each_record_is_accounted_for_and_one_of_the_future_is_without_a_day(tmp_path: Path) -> None:
    days = [-1, 0, 0, 1, 2, 40_000]
    records = [record(n, DAY + timedelta(days=day)) for n, day in enumerate(days)] + [record(9, DAY) | {"at": "soon"}]
    with RecordsApi([], Paging("single_page")) as api:
        api.reply = lambda asked: api._page(records, asked.fields)  # type: ignore[method-assign]
        section = settings(api.url, "single_page", whole=True, day_column="at", endpoint_incremental=None)
        raw = RawExport(Store(str(tmp_path), "shop"), FIRST)
        load_source(section).within(Scope(FIRST, FIRST + timedelta(days=1))).export(FIRST, raw, FIRST)
    assert ids_of(raw) == ["r1", "r2", "r5", "r9"]
    assert raw.account is not None
    assert replace(raw.account, read_as="") == Account(
        "", records=7, in_days=3, without_day=2, outside=2, first_outside="2024-02-29", last_outside="2024-03-03"
    )
    assert raw.manifest().records_without_day == 2


def test_a_day_says_how_many_records_of_its_answers_are_other_days_and_how_many_come_again(tmp_path: Path) -> None:
    records = [record(n, DAY + timedelta(hours=6 * n)) for n in range(-8, 12)]
    with RecordsApi(records, Paging(newest_first=True)) as api:
        section = settings(
            api.url, order="newest_first",
            endpoint_incremental={"cursor_path": "at", "format": "epoch_seconds"},
        )  # fmt: skip
        read = Account(
            "", records=15, in_days=4, without_day=0, outside=11, first_outside="2024-02-29", last_outside="2024-03-03",
            of_one_day=True,
        )  # fmt: skip
        assert export(section, tmp_path).account == read
        # An export that was interrupted after all pages counts those that it finds.
        raw = RawExport(Store(str(tmp_path), "shop"), FIRST)
        raw.begin(raw.manifest().position)
        raw.store.write_bytes(
            "raw_export/2024-03-01/manifest.json",
            raw.store.read_bytes("raw_export/2024-03-01/manifest.json").replace(
                b'"complete": true', b'"complete": false'
            ),
        )
        asked = len(api.requests)
        assert export(section, tmp_path).account == read
        assert len(api.requests) == asked


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"endpoint_incremental": None}, "needs endpoint.incremental"),
    ({"endpoint_incremental": {"cursor_path": "at", "start_param": "from"}}, "cannot be asked for one day"),
    ({"whole": True}, "whole: true needs day_column"),
    ({"endpoint_path": "x/{form}"}, "{form} in endpoint is unknown"),
    ({"for_each": {"name": "form", "values": ["a"]}}, "stands nowhere"),
    ({"endpoint_data_selector": "data[*].x[*]"}, "is no path"),
    ({"endpoint_paginator": {"type": "offset", "limit": 9}, "endpoint_primary_key": None}, "primary_key is needed"),
    ({"endpoint_paginator": {"type": "cursor"}}, "either cursor_param or cursor_body_path"),
    ({"endpoint_paginator": {"type": "auto"}}, "header_link"),
    ({"client": {"base_url": "api.example.com"}}, "must be a URL"),
    ({"client": {"base_url": "https://api.example.com"}}, "has no paginator"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_wrong_description_is_refused_with_what_is_wrong(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="(?s).*") as error:
        load_source(settings("https://api.example.com", **options))
    assert words in str(error.value)


def test_missing_credentials_name_the_setting(tmp_path: Path) -> None:
    section = settings("http://127.0.0.1:1")
    section["client"]["auth"] = {"type": "bearer", "token": None}
    with pytest.raises(ImportFileError, match="source.client.auth.token is empty"):
        export(section, tmp_path)


def test_a_key_field_is_made_of_the_parent_and_the_primary_key(tmp_path: Path) -> None:
    def two(asked: Asked, reply: Reply) -> Reply:
        return Reply(body=json.dumps({"data": [{"at": "2024-03-01", "by": {"id": 7}}], "has_more": False}).encode())

    with RecordsApi([], script=two) as api:
        section = settings(
            api.url, endpoint_path="{repo}/stars", for_each={"name": "repo", "values": ["o/a", "o/b"]},
            endpoint_primary_key=["by.id"], endpoint_key_field="key",
        )  # fmt: skip
        assert [one["key"] for one in records_of(export(section, tmp_path))] == ["o/a:7", "o/b:7"]


def test_a_margin_is_asked_for_and_left_to_its_own_day(tmp_path: Path) -> None:
    records = [record(n, DAY + timedelta(hours=6 * n)) for n in range(-2, 6)]
    with RecordsApi(records) as api:
        assert ids_of(export(settings(api.url, margin_minutes=720), tmp_path)) == ["r0", "r1", "r2", "r3"]
        assert api.requests[0].fields == {"from": "1709208000", "to": "1709380800"}


ODD = (
    '{"records": [{"id": 123456789012345678901234567890, "at": 1709287200, "big": 9007199254740993, "nan": NaN, '
    '"far": 1e400}, {"id": 123456789012345678901234567891, "at": 1709287201, "ids": [98765432109876543210987]}], '
    '"more": false}'
)


@pytest.mark.parametrize("whole", [False, True])
def test_numbers_of_an_answer_keep_all_their_digits_and_what_json_cannot_hold_is_null(
    whole: bool, tmp_path: Path
) -> None:
    with RecordsApi([], Paging("single_page")) as api:
        api.reply = lambda asked: Reply(body=ODD.encode())  # type: ignore[method-assign]
        section = settings(api.url, "single_page", **({"whole": True, "day_column": "at"} if whole else {}))
        if whole:
            section["endpoint"].pop("incremental", None)
        section["endpoint"] |= {"data_selector": "records", "primary_key": "id"}
        found = records_of(export(section, tmp_path))
    assert found == [
        {"id": 123456789012345678901234567890, "at": 1709287200, "big": 9007199254740993, "nan": None, "far": None},
        {"id": 123456789012345678901234567891, "at": 1709287201, "ids": [98765432109876543210987]},
    ]
