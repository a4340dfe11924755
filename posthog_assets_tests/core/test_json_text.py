"""Texts that hold numbers which the fast reader would round are found without reading them."""

from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthog_assets.core.json_text import load_any, may_hold_long_numbers

#: Digits mostly, and what may stand before and between them.
texts = st.text(st.sampled_from("0123456789" * 8 + ':,[-+ \t\n.ef"'), max_size=120)


@given(texts)
@example("1" * 20)
@example('{"a":' + "9" * 19)
@example("-" + "9" * 19)
def test_long_numbers_are_found_wherever_a_number_may_begin_and_nowhere_else(text: str) -> None:
    assert may_hold_long_numbers(text.encode()) == bool(re.search(r"(?:^|[:,\[\-+ \t\r\n])\d{20}|-9\d{18}", text))


def test_whole_numbers_keep_their_digits_at_both_ends_of_64_bits() -> None:
    remarks: list[str] = []
    for number in (2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, -(10**19) + 1, -(10**19)):
        text = f'{{"n":{number}}}'.encode()
        assert load_any(text, remarks.append) == {"n": number}
        assert may_hold_long_numbers(text) or orjson.loads(text) == {"n": number}
    assert remarks == []


@pytest.mark.parametrize(
    "value",
    ["f" + "1" * 30, "1" * 40, "a-b_9" + "0" * 25, 0.1234567890123456789, 2**64 - 1 - 10**19],
)
def test_ids_and_fractions_that_look_like_long_numbers_do_not_slow_a_block_down(value: object) -> None:
    assert not may_hold_long_numbers(orjson.dumps([{"session": value, "at": 1_709_251_200_000_000}] * 200))
