"""Pages are read by these settings and no others: something that has only them will do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from posthog_assets.core.errors import SourceRefused
from posthog_assets.sources import RawExport
from posthog_assets.sources.rest.client import Client, RestClient
from posthog_assets.sources.rest.endpoint import Asking, Endpoint, ForEach
from posthog_assets.sources.rest.pages import Pages
from posthog_assets.sources.rest.paginators import PaginatorSettings
from posthog_assets.sources.rest.windows import day_window
from posthog_assets.storage.store import Store
from posthog_assets_tests.fakes.records_api import Paging, RecordsApi, day_of_records, settings
from posthog_assets_tests.sources.rest.exporting import ALL, FIRST, ids_of

UTC = ZoneInfo("UTC")


@dataclass
class OtherRules:
    """The settings of an export that stand in no import file."""

    base_url: str
    endpoint: Endpoint
    paginator: PaginatorSettings
    zone: ZoneInfo = UTC
    for_each: ForEach | None = None
    order: str | None = None
    start_exclusive: bool = False
    end_inclusive: bool = False
    margin: timedelta = timedelta()
    outside: str = "error"
    max_rows_per_window: int | None = None

    def paginator_of(self, asking: Asking) -> PaginatorSettings:
        return self.paginator


def read(url: str, folder: Path, **changes: object) -> list[str]:
    given = settings(url)
    client = Client.model_validate(given["client"])
    assert client.paginator is not None
    rules = OtherRules(client.base_url, Endpoint.model_validate(given["endpoint"]), client.paginator, **changes)  # type: ignore[arg-type]
    raw = RawExport(Store(str(folder), "shop"), FIRST)
    raw.begin("1")
    Pages(rules, RestClient(client, (), 5, 0), raw, "1").read(day_window(FIRST, rules.zone))
    raw.complete()
    return ids_of(raw)


def test_a_day_is_read_by_rules_that_come_from_no_import_file(tmp_path: Path) -> None:
    with RecordsApi(day_of_records()) as api:
        assert read(api.url, tmp_path) == ALL


def test_a_record_outside_the_day_of_the_zone_is_an_error_or_left_to_its_own_day(tmp_path: Path) -> None:
    unfiltered = Paging(ignores=frozenset({"from", "to"}))
    with RecordsApi(day_of_records(), unfiltered) as api:
        with pytest.raises(SourceRefused):
            read(api.url, tmp_path / "error", zone=ZoneInfo("Asia/Tokyo"))
        kept = read(api.url, tmp_path / "skip", zone=ZoneInfo("Asia/Tokyo"), outside="skip")
    assert (0 < len(kept) < len(ALL), kept) == (True, ALL[: len(kept)])
