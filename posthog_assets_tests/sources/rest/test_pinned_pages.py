"""Pages as parts, and what a part remembers of its page."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.sources import RawExport
from posthog_assets.sources.formats import Compression, read_records
from posthog_assets.sources.rest.client import Page
from posthog_assets.sources.rest.endpoint import Endpoint
from posthog_assets.sources.rest.paginators import END, Place
from posthog_assets.sources.rest.pinned_pages import PinnedPages, ReadPage
from posthog_assets.sources.rest.requests import Request
from posthog_assets.storage.store import Store

DAY = date(2024, 3, 1)
ENDPOINT = Endpoint.model_validate({"path": "orders", "data_selector": "data"})
REQUEST = Request("GET", "https://shop.example/orders", (("key", "s3cret"),))
CONTENT = b'{"data": [{"id": 1}, {"id": 2}], "next": "x"}'


@pytest.fixture
def raw(tmp_path: Path) -> RawExport:
    found = RawExport(Store(str(tmp_path), "shop"), DAY)
    found.begin("v1")
    return found


def again(raw: RawExport) -> RawExport:
    """Return the export as the run after an interrupted one has it."""
    found = RawExport(raw.store, DAY)
    found.begin("v1")
    return found


def pages(raw: RawExport, key: str = "v1", secrets: tuple[str, ...] = ()) -> PinnedPages:
    return PinnedPages(raw, key, secrets, frozenset({"api_key"}))


def pin(pinned: PinnedPages, place: Place, following: Any, content: bytes = CONTENT, gzipped: bool = False) -> None:
    page = Page(
        gzip.compress(content) if gzipped else content,
        Compression.GZIP if gzipped else Compression.NONE,
        {}, {"data": [{"id": 1}, {"id": 2}]}, [{"id": 1}, {"id": 2}],
    )  # fmt: skip
    read = ReadPage(page.members, page.answer, following)
    pinned.pin("page-00001.json", place, read, page, ENDPOINT, REQUEST, None)


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_page_that_an_interrupted_export_left_is_read_instead_of_asked_for(raw: RawExport, gzipped: bool) -> None:
    pin(pages(raw), None, "x", gzipped=gzipped)
    found = pages(again(raw)).find("page-00001.json", None, ENDPOINT, None)
    assert found is not None
    assert (found.members, found.next) == ([{"id": 1}, {"id": 2}], "x")


def test_the_last_page_is_known_to_be_the_last(raw: RawExport) -> None:
    pin(pages(raw), "x", END)
    found = pages(again(raw)).find("page-00001.json", "x", ENDPOINT, None)
    assert found is not None
    assert found.next == END


def test_a_page_of_another_export_or_another_place_is_asked_for(raw: RawExport) -> None:
    pin(pages(raw), None, "x")
    assert pages(again(raw), key="v2").find("page-00001.json", None, ENDPOINT, None) is None
    assert pages(again(raw)).find("page-00001.json", "y", ENDPOINT, None) is None
    assert pages(again(raw)).find("page-00002.json", None, ENDPOINT, None) is None


def test_records_of_a_list_of_parents_are_none_of_the_imports(raw: RawExport) -> None:
    pin(pages(raw), None, END)
    raw.complete()
    (part,) = raw.parts()
    with raw.open(part) as file:
        assert [one for chunk in read_records(file, part.framing, part.name) for one in chunk.records] == []
    assert part.records == 0


def test_no_credential_is_in_what_a_part_remembers(raw: RawExport) -> None:
    pinned = pages(raw, secrets=("s3cret",))
    link = "https://shop.example/orders?p=2&api_key=other&token=s3cret"
    kept = pinned.without_secrets(link)
    assert kept == "https://shop.example/orders?p=2&token=\0000\0"
    assert pinned.with_secrets(kept) == "https://shop.example/orders?p=2&token=s3cret"
    pin(pinned, None, kept)
    raw.complete()
    manifest = raw.store.read_bytes(f"raw_export/{DAY}/manifest.json")
    assert b"s3cret" not in manifest
    assert b"api_key" not in manifest


@pytest.mark.parametrize("place", [None, 7, END])
def test_a_place_that_is_no_text_holds_no_credential(raw: RawExport, place: Any) -> None:
    assert pages(raw, secrets=("7",)).without_secrets(place) == place
