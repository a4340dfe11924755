"""Properties that have a place of their own in an event of the v1 protocol.

Belongs here: which ones, and moving them there. Does not belong here: the rest of an event's text (`encoder`).

Sources: rust/capture/src/v1/analytics/types.rs. Every event of an import with sessions has such a property, so most are
moved by cutting text; `_parsed` says what is right.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

#: PostHog corrects timestamps by the difference between its clock and the sender's unless a field forbids it:
#: rust/capture/src/v1/context.rs `clock_skew`. History must stay where it was.
V1_OPTIONS: Final = '"options":{"disable_skew_correction":true},'

#: Properties, and the field of an event that they become.
_FIELDS: Final = {"$session_id": "session_id", "$window_id": "window_id"}
#: Properties, and the option of an event that they become.
_OPTIONS: Final = {
    "$cookieless_mode": "cookieless_mode",
    "$ignore_sent_at": "disable_skew_correction",
    "$product_tour_id": "product_tour_id",
    "$process_person_profile": "process_person_profile",
}

#: Finds texts that may have one of them. Begins with a rare letter, not with the quote before it: so RE2 looks at few
#: places, and is three times as fast.
MOVED: Final = rf'\$(?:{"|".join(re.escape(key[1:]) for key in (*_FIELDS, *_OPTIONS))})":'

_KEY: Final = re.compile(rb'"' + MOVED.encode())
_PROPERTIES: Final = b'"properties":{'
#: What becomes of a property that is cut out of the text, if its value looks like this: a text without escapes for
#: fields, true or false for the option that whole imports have (`anonymous_events: personless`).
_CUT: Final = {f'"{key}":'.encode(): f'"{name}":'.encode() for key, name in _FIELDS.items()}
_CUT_OPTION: Final = b'"$process_person_profile":'
_TEXT: Final = re.compile(rb'"[^"\\]*"(?=[,}])')
_BOOLEAN: Final = re.compile(rb"(?:true|false)(?=[,}])")


def all_placed(cores: pa.ChunkedArray) -> list[bytes]:
    """Return v1 events whose special properties are where v1 wants them; *cores* are their JSON without braces."""
    counts = pc.count_substring_regex(cores, MOVED).to_pylist()
    # Before the dollar stands the key's quote.
    places = pc.subtract(pc.find_substring_regex(cores, MOVED), 1).to_pylist()
    plain = f"{{{V1_OPTIONS}".encode()
    return [
        placed(core, [place] if count == 1 else None) if count else plain + core + b"}"
        for core, count, place in zip(cores.to_pylist(), counts, places, strict=True)
    ]


def placed(core: bytes, keys: list[int] | None = None) -> bytes:
    """Return a v1 event whose special properties are where v1 wants them; *core* is its JSON without braces.

    *keys* are the places of all that may be keys of special properties, None where they are not known.
    """
    if keys is None:
        keys = [found.start() for found in _KEY.finditer(core)]
    return _cut(core, keys) or _parsed(core)


def _cut(core: bytes, keys: list[int]) -> bytes | None:
    """Do what `_parsed` does without parsing; None where the text alone does not show that this is right."""
    first = core.find(_PROPERTIES) + len(_PROPERTIES)
    head, kept, done = [b"{"], [], 0
    options = V1_OPTIONS.encode()
    seen: set[bytes] = set()
    for begin in keys:
        after = core.index(b":", begin) + 1
        key = core[begin:after]
        value = (_BOOLEAN if key == _CUT_OPTION else _TEXT).match(core, after)
        if value is None or key in seen or not _is_outermost(core, first, begin):
            return None
        seen.add(key)
        if key == _CUT_OPTION:
            options = options.replace(b"{", b'{"process_person_profile":' + value[0] + b",")
        elif key in _CUT:
            head.append(_CUT[key] + value[0] + b",")
        else:
            return None
        # One comma goes with it: that before it, or that after it where it is the first that stays.
        end = value.end()
        if core[begin - 1] == _COMMA and begin > done:
            begin -= 1
        elif core[end] == _COMMA:
            end += 1
        kept.append(core[done:begin])
        done = end
    return b"".join((*head, options, *kept, core[done:], b"}"))


_COMMA: Final = ord(",")
_BEFORE_KEY: Final = frozenset(b",{")
_NEITHER_QUOTES_NOR_BRACKETS: Final = bytes(set(range(256)) - set(b'"{}[]'))


def _is_outermost(core: bytes, first: int, key: int) -> bool:
    """Whether a key is one of the object whose members begin at *first*: what opens between is closed."""
    if key < first or core[key - 1] not in _BEFORE_KEY:
        return False
    between = core[first:key]
    if b"\\" in between:
        between = between.replace(rb"\\", b"").replace(rb"\"", b"")
    # The quotes of a text stand side by side then, unless it holds a bracket: that leaves a quote on either side of it.
    brackets = between.translate(None, _NEITHER_QUOTES_NOR_BRACKETS).replace(b'""', b"")
    if b'"' in brackets:
        # Every second piece lies outside the quotes.
        brackets = b"".join(between.split(b'"')[::2])
    return brackets.count(b"{") == brackets.count(b"}") and brackets.count(b"[") == brackets.count(b"]")


def _parsed(core: bytes) -> bytes:
    event: dict[str, Any] = orjson.loads(b"{" + core + b"}")
    properties = event["properties"]
    options: dict[str, Any] = {}
    for key, name in _FIELDS.items():
        if key in properties and isinstance(properties[key], str):
            event[name] = properties.pop(key)
    for key, name in _OPTIONS.items():
        if key in properties:
            value = properties.pop(key)
            # The server drops an event whose option it cannot coerce; a value it would not take is left out.
            if isinstance(value, str if name == "product_tour_id" else bool | int):
                options[name] = value
    event["options"] = options | {"disable_skew_correction": True}
    return orjson.dumps(event)
