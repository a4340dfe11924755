"""What was found out about an export, and how sure that is."""

from __future__ import annotations

import dataclasses

import pytest

from posthog_assets.pipeline.sniffing.draft import Draft
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding

FINDINGS = [
    Finding("source.unfold", ["a"], Certainty.SURE, "each record holds a list of events"),
    Finding("dialect.event", {"value": "x"}, Certainty.UNSURE, "no column names it"),
    Finding("dialect.user_id", None, Certainty.LIKELY, "no column is"),
]


def test_what_is_unsure_is_found_among_what_is_not() -> None:
    draft = Draft({}, FINDINGS, [])
    assert [found.setting for found in draft.unsure] == ["dialect.event"]
    assert draft.finding("dialect.user_id") == Finding("dialect.user_id", None, Certainty("likely"), "no column is")


def test_each_certainty_is_its_own_word() -> None:
    assert [f"{found.certainty} {found.setting}" for found in FINDINGS] == [
        "sure source.unfold", "unsure dialect.event", "likely dialect.user_id",
    ]  # fmt: skip


def test_a_finding_is_not_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FINDINGS[0].value = "other"  # type: ignore[misc]
