"""Values that JSON has no word for, told the same way whatever the format.

Belongs here: decimals, bytes, and lists that were written as objects. Does not belong here: how a format stores them.
"""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any


def of_decimal(value: Decimal) -> int | float | str:
    """Return the number a decimal is where 64 bits hold it exactly, else its digits."""
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and -(2**63) <= value < 2**64:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def numbered(value: Any) -> list[Any] | None:
    """Return the members of an object whose keys are whole numbers, by these numbers; None where it is no such object.

    PHP writes a list so whose numbers have a gap, or do not begin with 0.
    """
    if type(value) is not dict or not value or not all(map(_is_number, value)):
        return None
    return [value[key] for key in sorted(value, key=int)]


def _is_number(key: Any) -> bool:
    return type(key) is str and key.isascii() and key.isdecimal() and len(key) < 19


def of_bytes(value: bytes) -> str:
    """Return the text that UTF-8 bytes are, else their base64."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
