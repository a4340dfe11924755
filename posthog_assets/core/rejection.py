"""Why a record or an event is not sent.

Belongs here: what says so, and how reasons are counted. Does not belong here: any reason.
"""

from __future__ import annotations


class Rejected(Exception):
    """A record that cannot become an event, or an event that is not to be sent; the message is the reason.

    A reason is a sentence whose head, up to its first `: `, is the same for all records with the same flaw; the values
    of this one come after it.
    """


def reason_head(reason: str) -> str:
    """Return the countable part of a reason."""
    return reason.split(": ", 1)[0]
