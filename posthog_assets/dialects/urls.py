"""What an address says: its host and its path, which PostHog's web analytics groups by.

Belongs here: taking addresses apart. Does not belong here: which field holds one.
"""

from __future__ import annotations

from typing import Any


def add_place(url: Any, into: dict[str, Any]) -> None:
    """Add `$host` and `$pathname` of an http(s) address to properties that have none."""
    if type(url) is not str or not url.startswith(("http://", "https://")):
        return
    host, slash, rest = url.partition("://")[2].partition("/")
    if not slash:
        host = host.partition("?")[0].partition("#")[0]
    into.setdefault("$host", host)
    into.setdefault("$pathname", slash + rest.partition("?")[0].partition("#")[0] or "/")
