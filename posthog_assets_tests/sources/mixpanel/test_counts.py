"""The numbers that Mixpanel itself has."""

from __future__ import annotations

from datetime import date

import orjson
import pytest

from posthog_assets.core.errors import SourceRefused
from posthog_assets.sources.mixpanel.counts import mixpanel_counts
from posthog_assets.sources.mixpanel.events import Mixpanel
from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 2)


class Segmentation(ExportServer):
    def reply(self, asked: Asked) -> Reply:
        values = {asked.fields["event"]: {"2024-03-01": 3, "2024-03-02 00:00:00": 4}}
        return Reply(body=orjson.dumps({"data": {"series": [], "values": values}}))


def source(url: str) -> Mixpanel:
    account = {"project_id": 7, "service_account": "importer.1", "service_account_secret": "s3cret"}
    return Mixpanel.model_validate(account | {"host": url, "retry_seconds": 0})


def test_each_event_is_asked_for_by_itself_with_both_days_included() -> None:
    with Segmentation() as server:
        found = list(mixpanel_counts(source(server.url), FIRST, LAST, ["page view", "signup"]))
        asked = server.requests
    assert found == [
        (FIRST, "page view", 3), (LAST, "page view", 4), (FIRST, "signup", 3), (LAST, "signup", 4),
    ]  # fmt: skip
    assert [one.path for one in asked] == ["/api/query/segmentation"] * 2
    assert asked[0].fields == {
        "project_id": "7", "event": "page view", "from_date": "2024-03-01", "to_date": "2024-03-02", "unit": "day",
        "type": "general",
    }  # fmt: skip


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"data": {"values": []}}', b'{"data": {"values": {"a": {"x": 1}}}}']
)
def test_an_answer_without_counts_is_refused(body: bytes) -> None:
    with Segmentation(lambda asked, reply: Reply(body=body)) as server:
        with pytest.raises(SourceRefused, match="/api/query/segmentation gave an answer without counts by day"):
            list(mixpanel_counts(source(server.url), FIRST, LAST, ["a"]))
