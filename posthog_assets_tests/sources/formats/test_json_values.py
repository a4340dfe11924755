"""Decimals and bytes as JSON."""

from __future__ import annotations

from decimal import Decimal

import pytest

from posthog_assets.sources.formats.json_values import of_bytes, of_decimal


@pytest.mark.parametrize(
    ("digits", "value"),
    [
        ("1", 1),
        ("1.00", 1),
        ("0.1", 0.1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", "18446744073709551616"),
        ("1e30", 1e30),
        ("0.1000000000000000055", "0.1000000000000000055"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
    ],
)
def test_a_decimal_is_a_number_where_64_bits_hold_it_exactly(digits: str, value: float | str) -> None:
    found = of_decimal(Decimal(digits))
    assert (found, type(found)) == (value, type(value))


def test_bytes_are_their_text_or_base64() -> None:
    assert of_bytes("Grüße".encode()) == "Grüße"
    assert of_bytes(b"\xff\x00") == "/wA="
