"""The report of an import in a real browser: nothing is loaded, nothing runs, and it fits a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets.orchestration.report import report_days
from posthog_assets.pipeline.report.page import html
from posthog_assets_tests.end_to_end.conftest import watched
from posthog_assets_tests.pipeline.report.test_page import HOSTILE, make_days


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_loads_nothing_runs_nothing_and_fits(
    width: int,
    context: Any,
    sandbox: Any,
    tmp_path: Path,
) -> None:
    imp = make_days(tmp_path, sandbox, {"2024-03-01": HOSTILE, "2024-03-02": ["page"] * 30})
    (tmp_path / "report.html").write_text(html("small", report_days(imp, None)))
    page, messages, loaded = watched(context, width)
    page.goto(f"file://{tmp_path}/report.html")
    assert page.locator(".day").count() == 2
    assert page.locator(".chart svg").count() == 3
    assert page.locator("text=<script>alert(1)</script>").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert messages == []
    assert [url for url in loaded if not url.startswith("file://")] == []
    page.close()
