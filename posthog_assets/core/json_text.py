"""JSON that a strict reader refuses and that is no reason to lose a record.

Belongs here: reading one text, and lists that were written as objects. Does not belong here: lines or files
(`sources.formats`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import orjson

#: The escapes of a text: a pair of surrogates, one without its other half, any other.
_ESCAPES: Final = re.compile(
    rb"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)

#: What a number that 64 bits do not hold looks like; also found in texts, which does no harm.
_ODD_NUMBER: Final = re.compile(rb"NaN|Infinity|[0-9.][eE]\+?\d{3}|\d{20}|-9\d{18}")

#: Longer whole numbers are larger than any float.
_MOST_DIGITS: Final = 308

#: A remark about a value.
NO_NUMBER: Final = "a value is a number that JSON cannot hold (NaN, infinity, 1e400): it became null"


def load(text: bytes | str) -> Any:
    """Return what JSON text says, half a pair of surrogates in it as U+FFFD.

    JavaScript cuts texts between the two halves of an emoji, and writes what is left as `"\\ud83d"`: no character, and
    nothing that UTF-8 could hold, but no reason to lose the record.

    Raises:
        orjson.JSONDecodeError: it is no JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        given, mended = _mended(text)
        if mended == given:
            raise
        return orjson.loads(mended)


def load_any(text: bytes | str, remark: Callable[[str], None]) -> Any:
    """Return what JSON text says as `load` does, also where its numbers are none that 64 bits hold.

    Whole numbers stay exact, however large they are. NaN, infinity and what is too large for a float become None;
    *remark* gets a sentence for each.

    Raises:
        orjson.JSONDecodeError: it is no JSON for another reason too.
    """
    if not _ODD_NUMBER.search(text if isinstance(text, bytes) else text.encode(errors="surrogatepass")):
        return load(text)
    try:
        return _decoder(remark).decode(_mended(text)[1].decode())
    except (ValueError, RecursionError):
        return load(text)


def dump_line(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return *value* as a line of JSON, whole numbers with all their digits, however many; raises TypeError."""
    try:
        return orjson.dumps(value, default=default, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return json.dumps(value, default=default, ensure_ascii=False).encode() + b"\n"


def may_hold_long_numbers(text: bytes) -> bool:
    """Whether a whole number of more than 64 bits may be there: it has 20 digits or more, or is below -2^63.

    Digits of hexadecimal ids, uuids and fractions do not count: they do not begin where a number may.
    """
    words = np.frombuffer(text, "<u4", len(text) // 4)
    # The digits, and six signs that are looked at again below.
    digits = (words & _HIGH_HALVES) == _DIGITS
    # Wherever 19 digits stand, four whole words of four letters are among them, at most three letters after the first.
    inside = digits[:-3] & digits[1:-2]
    inside &= digits[2:-1]
    inside &= digits[3:]
    return any(_is_long_number(text, 4 * word) for word in np.flatnonzero(inside).tolist())


#: Of four letters at once, what tells digits from most others, and what it is in digits: 0x30 to 0x39.
_HIGH_HALVES: Final = np.uint32(0xF0F0F0F0)
_DIGITS: Final = np.uint32(0x30303030)

#: What stands before a number in JSON.
_BEFORE: Final = frozenset(b":,[-+ \t\r\n")

_MINUS: Final = ord("-")


def _is_long_number(text: bytes, place: int) -> bool:
    """Whether a number of more than 64 bits begins at most three letters before *place*, where a number may begin."""
    begin = place
    while begin > place - 4 and begin > 0 and 48 <= text[begin - 1] < 58:
        begin -= 1
    # More digits before those: the run has another place, nearer to its begin.
    if begin == place - 4 or (begin > 0 and text[begin - 1] not in _BEFORE):
        return False
    # Of -2^63 the digits are 9,2…
    is_negative = begin > 0 and text[begin - 1] == _MINUS and text[begin] == 57
    run = text[begin : begin + (19 if is_negative else 20)]
    return len(run) == (19 if is_negative else 20) and run.isdigit()


def dump_exactly(value: Any) -> bytes:
    """Return JSON in which whole numbers are text where JavaScript would round them, which PostHog's pipeline is.

    Raises:
        TypeError: JSON has no room for it, such as 255 levels of nesting.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except TypeError:
        return _dump(_within(value, -(2**53), 2**53))


def dump_numbers(value: Any) -> bytes:
    """Return JSON in which whole numbers are numbers as far as 64 bits hold them, and text beyond; raises TypeError."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return _dump(_within(value, -(2**63), 2**64 - 1))


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)


def _within(value: Any, lowest: int, highest: int) -> Any:
    """Return *value* with whole numbers outside the bounds as their digits; raises TypeError."""
    try:
        return _bounded(value, lambda number: number if lowest <= number <= highest else _digits(number))
    except RecursionError:
        raise TypeError("Recursion limit reached") from None


def rounded(value: Any) -> Any:
    """Return *value* with whole numbers of more than 64 bits as floats, as release 0.1 read them; raises TypeError."""
    try:
        return _bounded(value, lambda number: number if -(2**63) <= number < 2**64 else _float(number))
    except RecursionError:
        raise TypeError("Recursion limit reached") from None


def _bounded(value: Any, bound: Callable[[int], Any]) -> Any:
    if type(value) is int:
        return bound(value)
    if isinstance(value, dict):
        return {key: _bounded(item, bound) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(item, bound) for item in value]
    return value


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:
        raise TypeError("a whole number of more digits than Python writes") from None


def _float(number: int) -> float | str:
    try:
        return float(number)
    except OverflowError:
        return _digits(number)


def _decoder(remark: Callable[[str], None]) -> json.JSONDecoder:
    def nothing(text: str) -> Any:
        remark(NO_NUMBER)

    def real(text: str) -> float | None:
        return number if math.isfinite(number := float(text)) else nothing(text)

    def whole(text: str) -> int | None:
        return int(text) if len(text) < _MOST_DIGITS else nothing(text)

    return json.JSONDecoder(parse_constant=nothing, parse_float=real, parse_int=whole)


def _mended(text: bytes | str) -> tuple[bytes, bytes]:
    """Return the bytes of a text, and those with U+FFFD in place of half a pair of surrogates."""
    given = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    return given, _ESCAPES.sub(lambda found: b"\\ufffd" if found["lone"] else found[0], given)


def numbered(value: Any) -> list[Any] | None:
    """Return the members of an object whose keys are whole numbers, by these numbers; None where it is no such object.

    PHP writes a list so whose numbers have a gap, or do not begin with 0.
    """
    if type(value) is not dict or not value or not all(map(_is_number, value)):
        return None
    return [value[key] for key in sorted(value, key=int)]


def _is_number(key: Any) -> bool:
    return type(key) is str and key.isascii() and key.isdecimal() and len(key) < 19
