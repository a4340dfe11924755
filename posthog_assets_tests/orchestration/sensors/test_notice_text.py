"""The words of a message about failed runs."""

from __future__ import annotations

from posthog_assets.orchestration.failures import Failure
from posthog_assets.orchestration.sensors.notice_text import Failed, _for_slack, message


def failed(day: str | None, words: str, asset: str | None = "imported_batches", **more: str) -> Failed:
    return Failed(f"run-{day}", day, Failure(asset, words, f"run-{day}", **more))  # type: ignore[arg-type]


def test_failures_that_differ_only_in_their_day_and_numbers_share_a_sentence() -> None:
    found = [failed(f"2024-03-0{day}", f"2024-03-0{day}: {day * 11} events are owed.") for day in range(1, 8)]
    (sentence,) = message("shop", found, "https://dagster.example/").splitlines()
    assert sentence.startswith(
        "shop/imported_batches failed for 2024-03-01, 2024-03-02, 2024-03-03, 2024-03-04, 2024-03-05 and 2 more: "
        "2024-03-07: 77 events are owed. "
    )
    assert sentence.endswith("(https://dagster.example/runs/run-2024-03-07)")


def test_other_reasons_and_other_assets_have_sentences_of_their_own() -> None:
    found = [failed("2024-03-01", "a"), failed("2024-03-01", "b"), failed("2024-03-01", "a", "raw_export")]
    assert len(message("shop", found, None).splitlines()) == 3


def test_many_kinds_of_failure_are_cut_and_counted() -> None:
    lines = message("shop", [failed("2024-03-01", "x" * number) for number in range(1, 24)], None).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "… and 3 other kinds of failure; see the runs in Dagster"


def test_a_run_of_no_single_day_says_so() -> None:
    assert message("shop", [failed(None, "odd", None)], None).startswith(
        "a run of shop failed for no day in particular: odd. "
    )


def test_what_waits_for_a_person_is_not_to_be_tried_again() -> None:
    words = message("shop", [failed("2024-03-01", "odd", error="ImportFileError")], None)
    assert "Trying again cannot help" in words


def test_no_mention_or_link_comes_of_a_message() -> None:
    assert _for_slack("<!channel> & <http://x|y>") == "&lt;!channel&gt; &amp; &lt;http://x|y&gt;"
