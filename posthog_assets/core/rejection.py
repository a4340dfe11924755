"""Why a record or an event is not sent.

Belongs here: what says so, and how reasons are counted. Does not belong here: any reason.
"""

from __future__ import annotations

from typing import Final

from posthog_assets.core.posthog_rules import BEFORE_SINCE, NOT_BEFORE_UNTIL

#: How reasons begin that the import file, or the dialect, asks for; such a record is not lost.
_ON_PURPOSE: Final = (
    "left out", "excluded by mapping.events", "sampled out", "user agent is a bot", "repeats an earlier record",
    "replaced by a newer version", "visit has no actions", BEFORE_SINCE, NOT_BEFORE_UNTIL,
)  # fmt: skip


class Rejected(Exception):
    """A record that cannot become an event, or an event that is not to be sent; the message is the reason.

    A reason is a sentence whose head, up to its first `: `, is the same for all records with the same flaw; the values
    of this one come after it.
    """


def reason_head(reason: str) -> str:
    """Return the countable part of a reason."""
    return reason.split(": ", 1)[0]


def is_on_purpose(reason: str) -> bool:
    """Return whether a record with this reason (or its head) is left out because somebody wants it so."""
    return reason.startswith(_ON_PURPOSE)
