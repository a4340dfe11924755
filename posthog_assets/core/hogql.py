"""What PostHog's query API answers, for both ends: exporting from a project, and looking into one.

Belongs here: the rows of an answer, and whether they are all. Does not belong here: asking (`sources.posthog`,
`destination.landing`).

PostHog gives so many rows at most, whatever LIMIT asks for: 10,000 in older versions, 50,000 today
(MAX_SELECT_RETURNED_ROWS in posthog/hogql/constants.py). So fewer rows than asked for are no sign of the end, and
`hasMore` and `limit` are only in answers to queries without a LIMIT of their own. But an answer's `hogql` is the query
as it was run, with the LIMIT that was applied (posthog/hogql/printer.py). Without it only an empty answer is the end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from posthog_assets.core.json_text import load

#: PostHog allows 240 queries a minute and 2,400 an hour and project (posthog.com/docs/api/queries), for all clients
#: together; some are left for people. Requests, and in how many seconds.
QUERY_LIMITS: Final = ((200, 60), (2_000, 3_600))

_LIMIT: Final = re.compile(r"\bLIMIT\s+(\d+)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of an answer, and how many it could have held; None where it does not say."""

    rows: list[list[Any]]
    limit: int | None = None

    @property
    def is_all(self) -> bool:
        """Whether it is certain that there are no more."""
        return not self.rows or (self.limit is not None and len(self.rows) < self.limit)


def read_answer(body: bytes) -> Answer:
    """Return what an answer says; raises ValueError where it has no results."""
    try:
        content = load(body)
        rows, printed = content["results"], content.get("hogql")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no results: {error!r}") from None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ValueError("results are no list of rows")
    found = _LIMIT.search(printed) if isinstance(printed, str) else None
    return Answer(rows, int(found[1]) if found else None)


def quoted(text: str) -> str:
    """Return a HogQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
