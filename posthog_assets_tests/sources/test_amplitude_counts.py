"""The numbers that Amplitude itself has."""

from __future__ import annotations

from datetime import date

import orjson
import pytest

from posthog_assets.core.errors import SourceRefused
from posthog_assets.sources.amplitude import Amplitude
from posthog_assets.sources.amplitude_counts import amplitude_counts
from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 2)


class Segmentation(ExportServer):
    """Amplitude's event segmentation: two series, of which each has a number a day."""

    def reply(self, asked: Asked) -> Reply:
        series = [[3, 4], [{"value": 10}, {"value": 0}]]
        return Reply(body=orjson.dumps({"data": {"xValues": ["2024-03-01", "2024-03-02T00:00:00"], "series": series}}))


def source(url: str) -> Amplitude:
    return Amplitude.model_validate({"api_key": "k", "secret_key": "s", "host": url, "retry_seconds": 0})


def test_all_series_of_an_event_add_up_by_day() -> None:
    with Segmentation() as server:
        found = list(amplitude_counts(source(server.url), FIRST, LAST, ["page view"]))
        (asked,) = server.requests
    assert found == [(FIRST, "page view", 13), (LAST, "page view", 4)]
    assert asked.path == "/api/2/events/segmentation"
    assert asked.fields == {
        "e": '{"event_type":"page view"}', "m": "totals", "i": "1", "start": "20240301", "end": "20240302",
    }  # fmt: skip


def test_more_than_a_year_is_asked_for_in_pieces_that_do_not_overlap() -> None:
    empty = Reply(body=b'{"data": {"xValues": [], "series": []}}')
    with Segmentation(lambda asked, reply: empty) as server:
        assert list(amplitude_counts(source(server.url), date(2023, 1, 1), date(2024, 12, 30), ["a", "b"])) == []
        ends = [(asked.fields["start"], asked.fields["end"]) for asked in server.requests]
    assert ends == [("20230101", "20231231"), ("20240101", "20241230")] * 2


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b'{"data": {"xValues": ["2024-03-01"], "series": [[]]}}', b'{"data": null}'],
)
def test_an_answer_without_counts_is_refused(body: bytes) -> None:
    with Segmentation(lambda asked, reply: Reply(body=body)) as server:
        with pytest.raises(SourceRefused, match="/api/2/events/segmentation gave an answer without counts by day"):
            list(amplitude_counts(source(server.url), FIRST, LAST, ["a"]))
