"""The preview and the sandbox's page in a real browser: nothing is loaded from elsewhere, nothing of senders runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.destination.explore import explore_url
from posthog_assets.pipeline.preview.page import html
from posthog_assets.pipeline.preview.preview import preview_day
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.end_to_end.conftest import watched
from posthog_assets_tests.pipeline.report.test_page import HOSTILE, make_days
from posthog_assets_tests.records.shop import DAY


@pytest.mark.parametrize("width", [390, 1280])
def test_a_preview_shows_records_beside_events_and_runs_nothing(
    width: int,
    context: Any,
    tmp_path: Path,
) -> None:
    (tmp_path / "exports").mkdir()
    lines = [
        {"id": str(number), "user": "ann", "at": "2024-03-01T10:00:00Z", "what": name, "note": {"deep": name}}
        for number, name in enumerate(HOSTILE)
    ]
    lines.append({"id": "x", "user": "ann", "at": HOSTILE[0], "what": "page"})
    (tmp_path / "exports/2024-03-01.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "preview.html").write_text(html(preview_day(small_import(tmp_path), DAY)))
    page, messages, loaded = watched(context, width)
    page.goto(f"file://{tmp_path}/preview.html")
    assert page.locator(".sample").count() == len(lines)
    assert page.locator(".sample.rejected .reason").inner_text().startswith("timestamp cannot be read: '<script>")
    renamed = page.locator("tr.renamed", has_text="distinct_id").first.locator("td").all_inner_texts()
    assert renamed == ["user", '"ann"', "distinct_id", '"ann"', "renamed"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (messages, [url for url in loaded if not url.startswith("file://")]) == ([], [])
    page.close()


def test_a_link_to_the_events_in_posthog_leads_to_them_in_the_sandbox(
    context: Any,
    sandbox: Any,
    tmp_path: Path,
) -> None:
    imp = make_days(tmp_path, sandbox, {"2024-03-01": HOSTILE, "2024-03-02": ["page"] * 3})
    span = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC)
    url = explore_url(imp.destination, {"$import_job_id": "small", "$import_day": "2024-03-01"}, span)
    page, messages, loaded = watched(context, 390)
    page.goto(url)
    page.get_by_text(f"Events 1 to {len(HOSTILE)} of {len(HOSTILE)}").wait_for()
    assert page.get_by_text("$import_day is 2024-03-01").is_visible()
    page.get_by_role("link", name="$pageview", exact=True).click()
    page.get_by_text("Events 1 to 1 of 1").wait_for()
    page.locator("summary").click()
    assert '"$import_job_id": "small"' in page.locator("pre").inner_text()
    page.get_by_role("link", name="all events").click()
    page.get_by_text(f"Events 1 to {len(HOSTILE) + 3} of").wait_for()
    page.get_by_label("event", exact=True).fill(HOSTILE[0])
    page.get_by_role("button", name="Filter").click()
    page.get_by_text("Events 1 to 1 of 1").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert (messages, [url for url in loaded if not url.startswith(sandbox.url)]) == ([], [])
    page.close()
