"""A preview as a page."""

from __future__ import annotations

from posthog_assets.pipeline.preview.page import html
from posthog_assets.pipeline.preview.preview import Sample
from posthog_assets_tests.pipeline.preview.test_markdown import preview

EVENT = {"event": "page", "distinct_id": "ann", "properties": {"n": 2}}


def test_a_record_stands_beside_its_event_with_what_became_of_each_field() -> None:
    page = html(preview(samples=[Sample(("part-1", 7), {"who": "ann", "n": 1, "note": "x"}, EVENT, None)]))
    assert "part-1:7" in page
    assert [page.count(f">{word}<") > 0 for word in ("renamed", "changed", "added", "not imported")] == [True] * 4


def test_a_rejected_record_is_shown_whole_with_its_reason() -> None:
    page = html(preview(samples=[Sample(("part-1", 8), {"odd": {"deep": [1]}}, None, "user id is empty")]))
    assert "user id is empty" in page
    assert "&#34;deep&#34;: [" in page


def test_a_table_without_a_number_is_left_out() -> None:
    assert "Remarks" not in html(preview())
    assert "Remarks" in html(preview(remarks={"odd": 3}))
