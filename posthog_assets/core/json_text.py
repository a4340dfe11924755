"""JSON that a strict reader refuses and that is no reason to lose a record.

Belongs here: reading one text, and lists that were written as objects. Does not belong here: lines or files
(`sources.formats`).
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

#: The escapes of a text: a pair of surrogates, one without its other half, any other.
_ESCAPES: Final = re.compile(
    rb"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)


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
        given = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        mended = _ESCAPES.sub(lambda found: b"\\ufffd" if found["lone"] else found[0], given)
        if mended == given:
            raise
        return orjson.loads(mended)


def numbered(value: Any) -> list[Any] | None:
    """Return the members of an object whose keys are whole numbers, by these numbers; None where it is no such object.

    PHP writes a list so whose numbers have a gap, or do not begin with 0.
    """
    if type(value) is not dict or not value or not all(map(_is_number, value)):
        return None
    return [value[key] for key in sorted(value, key=int)]


def _is_number(key: Any) -> bool:
    return type(key) is str and key.isascii() and key.isdecimal() and len(key) < 19
