"""The numbers of a delivery add up at any moment."""

from __future__ import annotations

from posthog_assets.destination.report import DeliveryReport, count_reason


def test_what_is_neither_acknowledged_nor_dropped_is_owed() -> None:
    report = DeliveryReport(events=10)
    assert report.owed == 10
    report.acknowledged += 4
    report.dropped += 1
    assert report.owed == 5
    # What an earlier run had acknowledged is counted in `acknowledged`, not once more beside it.
    report.already_acknowledged = 3
    assert report.events == report.acknowledged + report.dropped + report.owed == 10


def test_reasons_are_added_up_and_reports_share_none() -> None:
    one, other = DeliveryReport(), DeliveryReport()
    for key, more in (("too old", 2), ("no name", 1), ("too old", 3)):
        count_reason(one.drop_reasons, key, more)
    one.moved_examples.append("u1")
    assert one.drop_reasons == {"too old": 5, "no name": 1}
    assert (other.drop_reasons, other.moved_examples) == ({}, [])
