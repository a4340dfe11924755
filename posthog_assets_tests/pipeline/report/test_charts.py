"""Charts of the report: nothing is drawn of nothing."""

from __future__ import annotations

from collections import Counter
from datetime import date

from posthog_assets.pipeline.report.charts import compared, stacked

DAYS = [date(2024, 3, 1), date(2024, 3, 2)]


def test_without_an_event_there_is_no_chart() -> None:
    assert stacked(DAYS, [Counter(), Counter()], "events") == ""
    assert compared(DAYS, {"events": [None, None]}, "events") == ""
