"""What the demo says at its end."""

from __future__ import annotations

from posthog_assets.cli.demo import closing_sentences


def test_after_days_that_failed_nobody_is_promised_that_nothing_will_be_sent() -> None:
    assert closing_sentences(1_500, 3, unfinished=True) == (
        "1,500 events sent in 3 requests. Run it again: what is missing will be sent."
    )
    assert closing_sentences(0, 0, unfinished=True) == (
        "0 events sent in 0 requests. Run it again: what is missing will be sent."
    )


def test_after_whole_days_it_says_that_a_second_run_sends_nothing() -> None:
    assert closing_sentences(26_865, 62, unfinished=False) == (
        "26,865 events sent in 62 requests. Run it again: nothing will be sent."
    )
    assert closing_sentences(0, 0, unfinished=False) == (
        "Nothing was sent: PostHog has acknowledged every event already."
    )
