"""One event that is sent and looked for before an import begins.

Belongs here: the only check that stores something. Does not belong here: the checks that store nothing (`preflight`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

import pyarrow as pa

from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.destination.client import CaptureClient, compressed
from posthog_assets.destination.encoder import encode
from posthog_assets.destination.preflight import OK, PROBLEM, Finding
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination, Protocol
from posthog_assets.destination.verdicts import Consequence, Verdict

#: The canary's event name; it belongs to no person.
CANARY: Final = "posthog_assets canary"


def canary(
    destination: Destination,
    day: date,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Finding:
    """Send one event of *day* and look until it has landed.

    The only way to see that a key of the right shape belongs to this project, and that the project keeps events of that
    age, where PostHog does not tell its settings. The event stays in the project, without a person.

    Raises:
        ImportFileError: there is no personal key to look with.
    """
    client = QueryClient(destination)
    name = str(uuid.uuid4())
    outcome = _send_canary(destination, name, day)
    if outcome is not None:
        return outcome
    until = time.monotonic() + destination.landing_seconds
    wait = 1.0
    while True:
        found = client.ask(f"SELECT count() FROM events WHERE event = '{CANARY}' AND distinct_id = '{name}'").rows
        if found and found[0][0]:
            return Finding(OK, "canary", f"an event of {day} has landed in project {destination.project_id}")
        if time.monotonic() + wait > until:
            return Finding(
                PROBLEM,
                "canary",
                f"PostHog accepted an event of {day}, but it has not landed in project {destination.project_id} within "
                f"{destination.landing_seconds:.0f} s: the project key belongs to another project or to none, or the "
                "project drops events of that age",
            )
        pause(wait)
        wait = min(wait * 2, 30.0)


def _send_canary(destination: Destination, name: str, day: date) -> Finding | None:
    rows = pa.RecordBatch.from_pylist(
        [
            {
                "uuid": name,
                "event": CANARY,
                "distinct_id": name,
                "timestamp": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
                "properties": '{"$process_person_profile":false,"$geoip_disable":true}',
            }
        ],
        schema=POSTHOG_EVENTS,
    )
    with CaptureClient(destination) as client:
        protocol = Protocol.BATCH if destination.protocol == "batch" else Protocol.V1
        while True:
            body = encode(rows).body(protocol, client.key, datetime.now(UTC))
            answer = client.send(compressed(protocol, body, 1))
            if answer.consequence is not Consequence.FALL_BACK or protocol is Protocol.BATCH:
                break
            protocol = Protocol.BATCH
    verdict, detail = answer.verdicts.get(name, (Verdict.OK, ""))
    if answer.consequence is Consequence.SETTLED and verdict.acknowledged:
        return None
    return Finding(PROBLEM, "canary", f"PostHog did not take it: {detail or answer.words or answer.status}")
