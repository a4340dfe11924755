"""What PostHog changes or does not show is said, with the setting that helps."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.mapping.cautions import Cautions


def found(*rows: tuple[str, dict[str, Any]], rejected: str | None = None) -> dict[str, int]:
    events = [
        {"event": name, "properties": json.dumps(p, separators=(",", ":")), "reject_reason": rejected}
        for name, p in rows
    ]
    cautions = Cautions()
    cautions.add(pa.RecordBatch.from_pylist(events, POSTHOG_EVENTS), dict.fromkeys(name for name, _ in rows))
    return cautions.found()


WHOLE = {"$session_id": "s", "$host": "h", "$pathname": "/"}


def test_page_views_that_web_analytics_can_count_need_no_caution() -> None:
    assert found(("$pageview", WHOLE), ("buy", {}), ("$exception", {"a": 1}), ("$ai_generation", {})) == {}


def test_a_page_view_without_a_session_names_the_setting_that_makes_one() -> None:
    words = found(("$pageview", WHOLE | {"$session_id": None}), ("$pageview", WHOLE))
    assert list(words.values()) == [1]
    assert next(iter(words)).startswith("page views have no $session_id (1 of 2 looked at)")
    assert "mapping.sessions: auto" in next(iter(words))


def test_a_page_view_without_a_host_names_the_step_that_finds_it() -> None:
    (words,) = found(("$pageview", {"$session_id": "s", "$pathname": "/"}))
    assert "the step url takes it from $current_url" in words


def test_page_views_by_another_name_are_to_be_renamed() -> None:
    words = found(("Page Viewed", {}), ("page_view", {}), ("page_view", {}), ("screen_view", {}), ("pages", {}))
    assert [sentence.rpartition("mapping.events: ")[2] for sentence in words] == [
        '{"Page Viewed": $pageview}', '{"page_view": $pageview}', '{"screen_view": $screen}'
    ]  # fmt: skip
    assert list(words.values()) == [1, 2, 1]


def test_what_posthog_ignores_and_removes_is_counted() -> None:
    exceptions = found(("$exception", {"$set": {"a": 1}}), ("$exception", {}), ("$exception", {"$set_once": {"a": 1}}))
    assert list(exceptions.values()) == [2]
    tokens = found(
        ("$ai_generation", {"$ai_input_tokens": "12"}), ("$ai_generation", {"$ai_input_tokens": 12}),
        ("$ai_embedding", {"$ai_total_tokens": None}), ("buy", {"$ai_input_tokens": "12"}),
    )  # fmt: skip
    assert list(tokens.values()) == [1]


def test_events_that_are_not_sent_need_no_caution() -> None:
    assert found(("$pageview", {}), ("page_view", {}), ("$exception", {"$set": {}}), rejected="left out") == {}
