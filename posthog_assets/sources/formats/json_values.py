"""Values that JSON has no word for, written the same way whatever the format.

Belongs here: decimals and bytes. Does not belong here: how a format stores them.
"""

from __future__ import annotations

import base64
from decimal import Decimal


def of_decimal(value: Decimal) -> int | float | str:
    """Return the number a decimal is where 64 bits hold it exactly, else its digits."""
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and -(2**63) <= value < 2**64:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def of_bytes(value: bytes) -> str:
    """Return the text that UTF-8 bytes are, else their base64."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
