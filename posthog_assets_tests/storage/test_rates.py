"""Whoever asks on behalf of an account keeps its limits."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from posthog_assets.core.hogql import QUERY_LIMITS
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination
from posthog_assets.sources.posthog import PostHog
from posthog_assets.storage.rates import Limit, Rate, rate_of
from posthog_assets.storage.scratch import private_folder
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_exports_and_looks_of_one_key_share_one_rate() -> None:
    with CaptureServer(lambda asked: Reply(body=b'{"results": [[7]]}')) as server:
        there = {"host": server.url, "personal_api_key": "phx_a", "project_id": "1"}
        source = PostHog.model_validate(there | {"count_events": True})
        looks = QueryClient(Destination.model_validate(there))
        for _ in range(3):
            looks.ask("SELECT 7")
        for day in (date(2024, 3, 1), date(2024, 3, 2)):
            assert source.fingerprint(day) == "settled 7"
        assert len(server.requests) == 5
    (file,) = (path for path in private_folder().glob("rate-*") if path.suffix != ".lock")
    assert file.stat().st_size == 5 * 8


def test_the_query_limits_stay_below_those_of_posthog() -> None:
    per_second = {seconds: requests for requests, seconds in QUERY_LIMITS}
    assert per_second[60] <= 240
    assert per_second[3_600] <= 2_400


def test_a_used_up_limit_waits_until_the_first_request_is_old_enough(tmp_path: Path) -> None:
    waits: list[float] = []
    rate = Rate((Limit(2, 60),), tmp_path / "rate", waits.append)
    for _ in range(3):
        rate.wait()
    assert waits[:2] == [0, 0]
    assert 59 < waits[2] <= 60


def test_another_key_or_host_has_a_rate_of_its_own() -> None:
    limits = (Limit(1, 60),)
    waits: list[float] = []
    for host, key in (("https://a", "one"), ("https://a", "two"), ("https://b", "one")):
        rate_of(host, (key,), limits, waits.append).wait()
    assert waits == [0, 0, 0]
