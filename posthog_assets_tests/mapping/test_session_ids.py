"""Session ids: a UUIDv7 that holds the time of the session's start, and is always the same."""

from __future__ import annotations

import uuid

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.mapping.session_ids import are_session_ids, session_ids
from posthog_assets_tests.examples import examples


def session_id(milliseconds: int, *names: str) -> str | None:
    made: str | None = session_ids(np.array([milliseconds]), ["\0".join(names)])[0].as_py()
    return made


@settings(max_examples=examples(30))
@given(st.integers(0, (1 << 48) - 1), st.lists(st.sampled_from(["", "a", "b", "ü"]), max_size=3))
def test_an_id_is_a_uuidv7_of_its_time(milliseconds: int, names: list[str]) -> None:
    text = session_id(milliseconds, *names)
    assert text is not None
    made = uuid.UUID(text)
    assert str(made) == text
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, milliseconds)
    assert are_session_ids(pa.array([text])).to_pylist() == [True]


def test_a_session_that_was_sent_before_has_the_id_it_had() -> None:
    """The time, and the first 74 bits of the SHA-256 of `shop\\0ann`."""
    assert session_id(1_709_294_400_000, "shop", "ann") == "018df9e2-b200-7d40-ab4a-7df566f43c23"


def test_other_names_are_another_session_also_where_they_read_the_same_together() -> None:
    names = [("a", "b"), ("ab",), ("a",), ("b", "a"), ("a", "", "b"), ()]
    assert len({session_id(5, *parts) for parts in names}) == 6
    together = session_ids(np.full(6, 5), ["\0".join(parts) for parts in names])
    assert together.to_pylist() == [session_id(5, *parts) for parts in names]


@pytest.mark.parametrize("milliseconds", [-1, 1 << 48, -(10**15), -(1 << 63)])
def test_a_time_that_a_uuidv7_cannot_hold_has_no_id(milliseconds: int) -> None:
    assert session_id(milliseconds, "a") is None


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("018dfa1b-8c00-7d09-ad71-83ce2eae4be5", True),
        ("018DFA1B-8C00-7D09-BD71-83CE2EAE4BE5", True),
        ("018dfa1b-8c00-4d09-ad71-83ce2eae4be5", False),
        ("018dfa1b-8c00-7d09-cd71-83ce2eae4be5", False),
        ("018dfa1b-8c00-7d09-ad71-83ce2eae4be5\n", False),
        ("018dfa1b8c007d09ad7183ce2eae4be5", False),
        ("", False),
        (None, False),
    ],
)
def test_posthog_takes_only_a_uuidv7_for_a_session(text: str | None, is_one: bool) -> None:
    assert are_session_ids(pa.array([text], pa.string())).to_pylist() == [is_one]
