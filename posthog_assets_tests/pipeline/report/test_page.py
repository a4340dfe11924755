"""The page about an import says what is stored of it, and shows hostile names as text."""

from __future__ import annotations

import json
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.orchestration.report import report_days
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.report.day_numbers import DayNumbers, DayState, numbers_of
from posthog_assets.pipeline.report.page import html, whole_range
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.verify import verify_day
from posthog_assets_tests.conftest import small_import

pytest.importorskip("matplotlib", reason="needs the extra posthog_assets[report]")

HOSTILE = [
    "<script>alert(1)</script>",
    "$pageview",
    "_hidden",
    "![](http://127.0.0.1/x.png)",
    "\x1b]0;title\x07",
    "a\u202eb",
]


def make_days(tmp_path: Path, sandbox: Any, days: dict[str, list[str]]) -> Import:
    """Import a record for each name, day by day, into *sandbox*; the last of each day has no readable time."""
    folder = tmp_path / "exports"
    folder.mkdir()
    imp = small_import(
        tmp_path,
        destination={
            "host": sandbox.url, "project_api_key": "phc_any", "personal_api_key": "phx_any", "project_id": "1",
            "landing_seconds": 10,
        },
    )  # fmt: skip
    for key, names in days.items():
        lines = [
            {"id": f"{key}-{n}", "user": "ann", "at": f"{key}T10:00:{n:02d}Z", "what": name}
            for n, name in enumerate(names)
        ]
        lines.append({"id": f"{key}-bad", "user": "ann", "at": "never", "what": "page"})
        (folder / f"{key}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        day = date.fromisoformat(key)
        export_day(imp, day)
        stage_day(imp, day)
        transform_day(imp, day)
        deliver_day(imp, day)
    return imp


class Texts(HTMLParser):
    """The texts of a page, and the tags that it opens."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_a_day_is_counted_from_its_records_to_what_landed(tmp_path: Path, sandbox: Any) -> None:
    imp = make_days(tmp_path, sandbox, {"2024-03-01": ["page", "page", "order"], "2024-03-03": ["page"]})
    verify_day(imp, date(2024, 3, 1))
    first, gap, last = report_days(imp, None)
    assert (first.raw_records, first.staged, dict(first.events)) == (4, 4, {"page": 2, "order": 1})
    assert list(first.rejected.elements()) == [("staged_events", next(iter(first.rejected))[1])]
    assert (first.acknowledged, first.landed, first.owed, first.state) == (3, 3, 0, DayState.LANDED)
    assert (gap.day, gap.state) == (date(2024, 3, 2), DayState.NOT_IMPORTED)
    assert (last.acknowledged, last.landed, last.state) == (1, None, DayState.ACKNOWLEDGED)
    assert last.requests == 1
    assert last.sent_bytes > 0


def test_a_failed_day_and_one_that_misses_events_need_attention(tmp_path: Path) -> None:
    imp = small_import(tmp_path)
    (failed,) = numbers_of(imp, [date(2024, 3, 1)], {date(2024, 3, 1): "raw_export: no file"})
    missing = DayNumbers(date(2024, 3, 2), landed=1, missing=2, has_ledger=True)
    assert (failed.state, missing.state) == (DayState.FAILED, DayState.MISSING_IN_POSTHOG)
    page = Texts(html("small", [failed, missing]))
    assert "Days that need attention" in page.texts
    assert "raw_export: no file" in page.texts


def test_days_of_too_many_rejected_records_and_of_events_far_away_need_attention(tmp_path: Path, sandbox: Any) -> None:
    imp = make_days(tmp_path, sandbox, {"2024-03-01": [], "2024-03-02": ["page"], "2024-03-03": ["page"]})
    (tmp_path / "exports/2024-03-03.jsonl").write_text('{"id": 1, "user": "a", "at": "2023-01-03", "what": "x"}\n')
    for step in (export_day, stage_day, transform_day):
        step(imp, date(2024, 3, 3))
    days = report_days(imp, None)
    assert [day.state for day in days][:2] == [DayState.TOO_MANY_REJECTED, DayState.ACKNOWLEDGED]
    page = Texts(html("small", days))
    assert "1 of 1 records are rejected (100.0%); most often: timestamp cannot be read" in page.texts
    assert any(text.startswith("2024-03-03: all of its events are of 2023-01-03") for text in page.texts)


def test_names_and_reasons_of_strangers_are_shown_as_text(tmp_path: Path, sandbox: Any) -> None:
    imp = make_days(tmp_path, sandbox, {"2024-03-01": HOSTILE})
    days = report_days(imp, None)
    days[0].failure = "<img src=x onerror=alert(1)>"
    text = html("small", days)
    page = Texts(text)
    assert not page.tags & {"script", "img", "iframe", "object"}
    assert "<script>alert(1)</script>" in page.texts
    assert "\\x1b]0;title\\x07" in page.texts
    assert "a\\u202eb" in page.texts
    assert "\x1b" not in text
    assert "$pageview" in page.texts


def test_the_same_numbers_give_the_same_page(tmp_path: Path, sandbox: Any) -> None:
    imp = make_days(tmp_path, sandbox, {"2024-03-01": ["page"]})
    days = report_days(imp, None)
    assert html("small", days, made_at=None)[:200] == html("small", days, made_at=None)[:200]
    assert "<svg" in html("small", days)
    assert "<!DOCTYPE" not in html("small", days)


def test_an_import_without_a_stored_day_has_a_page_too() -> None:
    assert "No day is stored yet." in html("small", [])
    assert whole_range([]) == []
