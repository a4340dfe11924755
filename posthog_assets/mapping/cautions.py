"""What PostHog will change in events that it takes, or not show, and the setting that would help.

Belongs here: rules about single kinds of events, which are sent all the same. Does not belong here: what PostHog would
drop, which is rejected (`core.posthog_rules`).

| events | PostHog | source |
|---|---|---|
| `$pageview` without `$host`, `$pathname` or `$session_id` | web analytics does not count it | its documentation |
| page views by another name | web analytics counts `$pageview` and `$screen` only | the same |
| `$exception` with `$set`, `$set_once` | ignores them | nodejs/src/ingestion |
| `$ai_…` with token numbers that are no numbers | removes them | the same, `invalid_ai_token_property` |

A batch costs a look at its event names. Of page views some of each batch are looked at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

PAGE_VIEW: Final = "$pageview"

#: Page views of a batch that are looked at.
_LOOKED_AT: Final = 100

#: What web analytics needs of a page view, and what brings it.
_NEEDED: Final = {
    "$session_id": "mapping.sessions: auto takes the source's own sessions, {idle_minutes: 30} computes them",
    "$host": "the step url takes it from $current_url, mapping.properties.rename from another property",
    "$pathname": "the step url takes it from $current_url, mapping.properties.rename from another property",
}

#: Names of page views and screens in other products, letters only.
_OTHER_NAMES: Final = {
    "pageview": PAGE_VIEW, "pageviews": PAGE_VIEW, "pageviewed": PAGE_VIEW, "viewpage": PAGE_VIEW,
    "viewedpage": PAGE_VIEW, "viewedapage": PAGE_VIEW, "pagevisit": PAGE_VIEW, "pagevisited": PAGE_VIEW,
    "visitedpage": PAGE_VIEW, "loadedapage": PAGE_VIEW, "pageload": PAGE_VIEW, "pageloaded": PAGE_VIEW,
    "screenview": "$screen", "screenviewed": "$screen", "viewscreen": "$screen", "viewedscreen": "$screen",
}  # fmt: skip

_NO_LETTER: Final = re.compile(r"[^a-z]")
_AI: Final = "$ai_"
_TOKENS: Final = r'"\$ai_\w*tokens":["{\[tf]'
_PERSON: Final = r'"\$set(_once)?":'


class Cautions:
    """Collects cautions of a day; memory grows with the distinct event names."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lacking: Counter[str] = Counter()
        self._looked_at = 0
        self._names: Counter[str] = Counter()

    def add(self, events: pa.RecordBatch, names: Iterable[str]) -> None:
        """Look at the events that are not rejected; *names* are those of the batch, each once."""
        for name in names:
            if name == PAGE_VIEW:
                self._look_at_page_views(_sent(events, name, _LOOKED_AT))
            elif name == "$exception":
                self._counts[_EXCEPTIONS] += _matching(_sent(events, name), _PERSON)
            elif name.startswith(_AI):
                self._counts[_AI_TOKENS] += _matching(_sent(events, name), _TOKENS)
            elif _OTHER_NAMES.get(_NO_LETTER.sub("", name.lower())):
                self._names[name] += pc.sum(_are_sent(events, name)).as_py() or 0

    def _look_at_page_views(self, texts: pa.StringArray) -> None:
        for text in texts.to_pylist():
            properties = orjson.loads(text)
            self._looked_at += 1
            self._lacking.update(name for name in _NEEDED if not properties.get(name))

    def found(self) -> dict[str, int]:
        """Return each caution, and how many events it is about; of page views, of those looked at."""
        found = {sentence: count for sentence, count in self._counts.items() if count}
        for name, count in sorted(self._lacking.items()):
            found[
                f"page views have no {name} ({count:,} of {self._looked_at:,} looked at), so web analytics does not "
                f"count them right: {_NEEDED[name]}"
            ] = count
        for name, count in sorted(self._names.items()):
            if count:
                meant = _OTHER_NAMES[_NO_LETTER.sub("", name.lower())]
                found[
                    f"{name} looks like {meant}, and web analytics counts only that name: mapping.events: "
                    f"{{{orjson.dumps(name).decode()}: {meant}}}"
                ] = count
        return found


_EXCEPTIONS: Final = "$exception sets properties of its person, which PostHog ignores for exceptions"
_AI_TOKENS: Final = (
    "$ai_… events have token numbers that are no numbers, which PostHog removes: the step types makes them int"
)


def _sent(events: pa.RecordBatch, name: str, most: int | None = None) -> pa.StringArray:
    return events["properties"].take(pc.indices_nonzero(_are_sent(events, name))[:most])


def _are_sent(events: pa.RecordBatch, name: str) -> pa.BooleanArray:
    return pc.and_(pc.equal(events["event"], name), pc.is_null(events["reject_reason"]))


def _matching(texts: pa.StringArray, pattern: str) -> int:
    return int(pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0)
