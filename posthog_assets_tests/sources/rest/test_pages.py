"""All pages of a day: from page to page, from window to window, from parent to parent."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from posthog_assets.core.errors import SourceRefused
from posthog_assets_tests.fakes.export_server import Asked, Reply
from posthog_assets_tests.fakes.records_api import (
    DAY,
    PAGINATORS,
    Paging,
    RecordsApi,
    day_of_records,
    record,
    settings,
)
from posthog_assets_tests.sources.rest.exporting import ALL, export, ids_of, records_of


@pytest.mark.parametrize("style", PAGINATORS)
def test_every_paginator_reads_all_pages_of_a_day_and_nothing_twice(style: str, tmp_path: Path) -> None:
    with RecordsApi(day_of_records(), Paging(style)) as api:
        assert ids_of(export(settings(api.url, style), tmp_path)) == ALL


def test_an_empty_page_is_not_the_end_where_the_answer_says_that_there_is_more(tmp_path: Path) -> None:
    def skip_first(asked: Asked, reply: Reply) -> Reply:
        if "place" in asked.fields:
            return reply
        return Reply(body=b'{"data": [], "has_more": true, "next_place": "0"}')

    with RecordsApi(day_of_records(), script=skip_first) as api:
        assert ids_of(export(settings(api.url), tmp_path)) == ALL


def test_a_cursor_that_stands_still_is_an_error(tmp_path: Path) -> None:
    def stuck(asked: Asked, reply: Reply) -> Reply:
        return Reply(body=json.dumps(json.loads(reply.body) | {"next_place": 3, "has_more": True}).encode())

    with RecordsApi(day_of_records(), script=stuck) as api:
        with pytest.raises(SourceRefused, match="after page 2 the cursor is where it was before, '?3"):
            export(settings(api.url), tmp_path)


def test_cursors_that_go_round_in_circles_are_an_error(tmp_path: Path) -> None:
    def circle(asked: Asked, reply: Reply) -> Reply:
        place = (int(asked.fields.get("place", 0)) + 3) % 9 or 3
        return Reply(body=json.dumps(json.loads(reply.body) | {"next_place": place, "has_more": True}).encode())

    with RecordsApi(day_of_records(), script=circle) as api:
        with pytest.raises(SourceRefused, match="the same pages for ever"):
            export(settings(api.url), tmp_path)


def test_more_pages_without_a_cursor_are_an_error(tmp_path: Path) -> None:
    def lost(asked: Asked, reply: Reply) -> Reply:
        return Reply(body=json.dumps(json.loads(reply.body) | {"next_place": None}).encode())

    with RecordsApi(day_of_records(), script=lost) as api:
        with pytest.raises(SourceRefused, match="there are more pages, but has no cursor at next_place"):
            export(settings(api.url), tmp_path)


def test_a_missing_word_on_whether_there_is_more_is_an_error(tmp_path: Path) -> None:
    with RecordsApi(day_of_records(), script=lambda asked, reply: Reply(body=b'{"data": []}')) as api:
        with pytest.raises(SourceRefused, match="nothing at 'has_more'"):
            export(settings(api.url), tmp_path)


def test_a_single_page_with_a_link_to_more_is_an_error(tmp_path: Path) -> None:
    with RecordsApi(day_of_records(), Paging("header_link")) as api:
        with pytest.raises(SourceRefused, match="paginator is single_page"):
            export(settings(api.url, "single_page"), tmp_path)


@pytest.mark.parametrize(
    "elsewhere", ["http://evil.example/v1/records?place=3", "//evil.example/v1", "https://127.0.0.1/x"]
)
def test_a_next_link_never_leads_to_another_host(elsewhere: str, tmp_path: Path) -> None:
    def lead_away(asked: Asked, reply: Reply) -> Reply:
        return Reply(body=json.dumps(json.loads(reply.body) | {"next": elsewhere}).encode())

    with RecordsApi(day_of_records(), Paging("json_link"), lead_away) as api:
        with pytest.raises(SourceRefused, match="the credentials would go there"):
            export(settings(api.url, "json_link"), tmp_path)
        assert len(api.requests) == 1


def test_a_relative_next_link_is_followed(tmp_path: Path) -> None:
    def absolute(asked: Asked, reply: Reply) -> Reply:
        body = json.loads(reply.body)
        return Reply(
            body=json.dumps(body | {"next": body["next"] and "/v1" + body["next"].partition("/v1")[2]}).encode()
        )

    with RecordsApi(day_of_records(), Paging("json_link"), absolute) as api:
        assert ids_of(export(settings(api.url, "json_link"), tmp_path)) == ALL


def test_records_that_come_again_on_the_next_page_are_read_once(tmp_path: Path) -> None:
    with RecordsApi(day_of_records(), Paging(overlap=2)) as api:
        assert ids_of(export(settings(api.url), tmp_path)) == ALL


def test_records_that_move_to_the_next_page_meanwhile_are_read_once(tmp_path: Path) -> None:
    def newer_one_arrives(asked: Asked, reply: Reply) -> Reply:
        if asked.fields.get("offset") == "0":
            api.records.append(record(99, DAY + timedelta(hours=23, minutes=59, seconds=59)))
        return reply

    with RecordsApi(day_of_records(9), Paging("offset", newest_first=True), newer_one_arrives) as api:
        found = ids_of(export(settings(api.url, "offset"), tmp_path))
    assert sorted(found) == sorted(f"r{n}" for n in range(9))


def test_an_offset_counts_what_was_delivered_not_what_was_asked_for(tmp_path: Path) -> None:
    with RecordsApi(day_of_records(), Paging("offset", size=3)) as api:
        section = settings(api.url, "offset")
        section["client"]["paginator"] = section["client"]["paginator"] | {"limit": 500}
        assert ids_of(export(section, tmp_path)) == ALL


def test_a_total_that_is_not_reached_is_an_error(tmp_path: Path) -> None:
    def short(asked: Asked, reply: Reply) -> Reply:
        body = json.loads(reply.body)
        return Reply(body=json.dumps(body | {"total": 11}).encode())

    with RecordsApi(day_of_records(), Paging("offset"), short) as api:
        section = settings(api.url, "offset")
        section["client"]["paginator"] = section["client"]["paginator"] | {"total_path": "total"}
        with pytest.raises(SourceRefused, match="only 10 of 11 were read"):
            export(section, tmp_path)


@pytest.mark.parametrize("total_path", [None, "total"])
def test_a_capped_query_is_halved(total_path: str | None, tmp_path: Path) -> None:
    with RecordsApi(day_of_records(14), Paging(size=3, cap=7)) as api:
        section = settings(api.url, max_rows_per_window=7)
        section["endpoint"]["total_path"] = total_path
        assert ids_of(export(section, tmp_path)) == [f"r{number}" for number in range(14)]


def test_what_cannot_be_halved_any_further_is_refused(tmp_path: Path) -> None:
    with RecordsApi([record(n, DAY) for n in range(9)], Paging(size=9, cap=7)) as api:
        with pytest.raises(SourceRefused, match="cannot be halved any further"):
            export(settings(api.url, max_rows_per_window=7), tmp_path)


def test_pages_of_a_window_that_was_halved_are_not_kept(tmp_path: Path) -> None:
    with RecordsApi(day_of_records(10), Paging(size=3, cap=7)) as api:
        raw = export(settings(api.url, max_rows_per_window=7), tmp_path)
    assert {part.name.split("-")[1] for part in raw.parts()} == {"a", "b"}
    assert sorted(raw.stored()) == sorted(part.name for part in raw.parts())


def test_parents_are_listed_and_their_records_say_whose_they_are(tmp_path: Path) -> None:
    def forms(asked: Asked, reply: Reply) -> Reply:
        if asked.path == "/v1/forms":
            page = int(asked.fields.get("page", 1))
            items = [[{"id": "f1", "title": "Ü"}, {"id": "f/2", "title": "b"}], [{"id": "f3", "title": "c"}]][page - 1]
            return Reply(body=json.dumps({"items": items, "page_count": 2}).encode())
        name = asked.path.rsplit("/", 2)[1]
        assert asked.path.endswith("/records")
        return Reply(body=json.dumps({"data": [record(1, DAY, form=name)], "has_more": False}).encode())

    with RecordsApi([], script=forms) as api:
        section = settings(api.url, endpoint_path="forms/{form}/records")
        section["for_each"] = {
            "name": "form", "path": "forms", "data_selector": "items", "include": ["title"], "encode_slashes": True,
            "paginator": {"type": "page_number", "base_page": 1, "total_path": "page_count"},
        }  # fmt: skip
        found = records_of(export(section, tmp_path))
    assert [(one["_form"], one["_form_title"], one["form"]) for one in found] == [
        ("f1", "Ü", "f1"), ("f/2", "b", "f%2F2"), ("f3", "c", "f3"),
    ]  # fmt: skip


def test_parameters_that_must_not_come_with_the_cursor_are_dropped(tmp_path: Path) -> None:
    with RecordsApi(day_of_records()) as api:
        section = settings(api.url)
        section["client"]["paginator"] = PAGINATORS["cursor"] | {"drop_params": ["from", "to"]}
        export(section, tmp_path)
    assert [sorted(request.fields) for request in api.requests[:2]] == [["from", "to"], ["place"]]
