"""The step that writes all names in one way.

Belongs here: taking a name apart into words, and putting it together. Does not belong here: renaming (`properties`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final, Literal

from pydantic import Field

from posthog_assets.mapping.steps.base import Event, OfProperties
from posthog_assets.mapping.steps.name_patterns import Names

Style = Literal["snake_case", "kebab-case", "camelCase", "PascalCase", "Title Case", "Sentence case", "lower case"]

#: Names PostHog itself gives meaning to, besides those with a $: campaigns, and the events of surveys.
_POSTHOGS: Final = Names(
    ["$*", "utm_*", "gclid", "fbclid", "msclkid", "survey shown", "survey sent", "survey dismissed"]
)


class Case(OfProperties):
    """Write the names of events and properties in one style; PostHog's own (`$…`, `utm_…`) stay as they are.

    `PageViewed`, `page viewed` and `page-viewed` become `page_viewed`; `HTTPStatus` is `http_status`, `userID` is
    `user_id`. A name another property has already keeps its old form, so that no value is lost.

    `{step: case, style: snake_case, of: [event, properties], leave: [SKU]}`
    """

    style: Style = Field(description="How names are to be written")
    of: list[Literal["event", "properties"]] = Field(
        ["event", "properties"], description="Which names: of events, of properties"
    )
    leave: list[str] = Field(default_factory=list, description="Names to leave as they are")

    def apply(self, event: Event) -> None:
        styled = self._styled
        if "event" in self.of and event.name:
            event.name = styled(event.name)
        if "properties" not in self.of:
            return
        for bag in event.bags(self.scope):
            old = list(bag)
            new = [styled(name) for name in old]
            if new != old:
                members = list(bag.values())
                bag.clear()
                bag.update(zip(_apart(old, new), members, strict=True))

    @cached_property
    def _styled(self) -> Callable[[str], str]:
        style, leave = self.style, Names(self.leave)

        @lru_cache(maxsize=20_000)
        def styled(name: str) -> str:
            if _POSTHOGS.mean(name) or leave.mean(name):
                return name
            return in_style(name, style)

        return styled


def _apart(old: list[str], new: list[str]) -> list[str]:
    """Return the new names, the old one where two would be equal; a name that is right already comes first."""
    if len(set(new)) == len(new):
        return new
    taken = {name for name, other in zip(old, new, strict=True) if name == other}
    names = []
    for name, other in zip(old, new, strict=True):
        names.append(name if other in taken else other)
        taken.add(names[-1])
    return names


def in_style(name: str, style: Style) -> str:
    """Return *name* in *style*; a name without a letter or digit stays."""
    parts = words(name)
    if not parts:
        return name
    lowered = [part.lower() for part in parts]
    if style in _JOINED:
        return _JOINED[style].join(lowered)
    if style == "camelCase":
        return lowered[0] + "".join(_capital(part) for part in lowered[1:])
    if style == "PascalCase":
        return "".join(_capital(part) for part in lowered)
    # In running text an acronym stays one, unless everything was written in capitals.
    shouted = all(part == part.upper() for part in parts)
    kept = [
        part if not shouted and len(part) > 1 and part.removesuffix("s").isupper() else low
        for part, low in zip(parts, lowered, strict=True)
    ]
    if style == "Sentence case":
        return " ".join([_capital(kept[0]), *kept[1:]])
    return " ".join(_capital(part) for part in kept)


_JOINED: Final[dict[str, str]] = {"snake_case": "_", "kebab-case": "-", "lower case": " "}


def words(name: str) -> list[str]:
    """Return the words of *name*: they end at anything but letters and digits, and where a capital begins one.

    Of capitals in a row the last begins the next word if a small letter follows: `HTTPStatus` is HTTP, Status. A plural
    s belongs to its acronym: `userIDs` is user, IDs.
    """
    found: list[str] = []
    for run in "".join(sign if _in_word(sign) else " " for sign in name if sign not in "'’").split():
        starts = [0]
        for at in range(1, len(run)):
            before, here, after = run[at - 1], run[at], run[at + 1 : at + 3]
            if not here.isupper():
                continue
            plural = after == "s" or (after[:1] == "s" and after[1:].isupper())
            if not before.isupper() or (after[:1].islower() and not plural):
                starts.append(at)
        found += [run[start:end] for start, end in pairwise([*starts, len(run)])]
    return found


def _in_word(sign: str) -> bool:
    # Vowel signs and accents of many scripts are marks, not letters.
    return sign.isalnum() or unicodedata.category(sign)[0] == "M"


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]
