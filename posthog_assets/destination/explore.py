"""Links into PostHog's own pages.

Belongs here: how a URL of PostHog's interface says what to show. Does not belong here: asking PostHog anything
(`query_client`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

import orjson

from posthog_assets.destination.settings import Destination

_SECOND: Final = timedelta(seconds=1)
#: The calendar has nothing before and after.
_FIRST: Final = datetime.min.replace(tzinfo=UTC) + _SECOND
_LAST: Final = datetime.max.replace(tzinfo=UTC) - _SECOND


def explore_url(destination: Destination, properties: Mapping[str, str], span: tuple[datetime, datetime]) -> str | None:
    """Return the address of the events with these *properties* in PostHog's explorer; None: the project is not known.

    *span* holds the first and the last event: without it PostHog would show the last 24 hours. The explorer reads its
    whole state from the part after the #, as frontend/src/scenes/activity/explore of PostHog/posthog writes it.
    """
    if not destination.host or not destination.project_id or not destination.project_id.isalnum():
        return None
    query = {
        "kind": "DataTableNode",
        "full": True,
        "source": {
            "kind": "EventsQuery",
            "select": ["*", "event", "person", "timestamp"],
            # Both ends are exclusive.
            "after": (max(span[0], _FIRST) - _SECOND).isoformat(),
            "before": (min(span[1], _LAST) + _SECOND).isoformat(),
            "properties": [
                {"type": "event", "key": key, "operator": "exact", "value": [value]}
                for key, value in properties.items()
            ],
        },
    }
    # Short where it may be: & and = would end the value, and a + is no space there.
    state = quote(orjson.dumps(query).decode(), safe=":,$*")
    return f"{destination.app_host()}/project/{destination.project_id}/activity/explore#q={state}"
