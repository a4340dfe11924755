"""Which event and property names a PostHog project knows already.

Belongs here: asking. Does not belong here: which names an import brings (`preview`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import orjson

from posthog_assets.core.hogql import quoted
from posthog_assets.core.markers import Markers
from posthog_assets.destination.query_client import QueryClient

#: Property names are taken from so many of the project's events: all of them would take too long.
SAMPLE: Final = 2_000

#: Names in one question.
_NAMES: Final = 500


def known_events(client: QueryClient, names: Collection[str], import_name: str, markers: Markers) -> set[str]:
    """Return those of *names* that events of the project have, other than this import's; raises VerificationError."""
    found: set[str] = set()
    asked = sorted(names)
    for start in range(0, len(asked), _NAMES):
        some = ", ".join(quoted(name) for name in asked[start : start + _NAMES])
        rows = client.ask(
            f"SELECT event, count() FROM events WHERE event IN ({some}) AND {_others(import_name, markers)} "
            f"GROUP BY event LIMIT {_NAMES}"
        ).rows
        found |= {row[0] for row in rows}
    return found


def known_properties(client: QueryClient, import_name: str, markers: Markers) -> set[str] | None:
    """Return the property names that a sample of the project's events has, None where there are no events.

    This import's own events do not count. Raises VerificationError.
    """
    rows = client.ask(f"SELECT properties FROM events WHERE {_others(import_name, markers)} LIMIT {SAMPLE}").rows
    return {name for row in rows for name in orjson.loads(row[0])} if rows else None


def _others(import_name: str, markers: Markers) -> str:
    return f"coalesce(properties.{markers.import_name}, '') != {quoted(import_name)}"
