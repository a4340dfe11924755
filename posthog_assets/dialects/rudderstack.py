"""RudderStack: Segment's messages with some fields more.

Belongs here: what RudderStack writes and Segment does not. Does not belong here: the rest (`segment`); the tables of
its warehouse destinations, whose columns are flat (`columns`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from posthog_assets.dialects.record import Record
from posthog_assets.dialects.segment import Segment


class RudderStack(Segment):
    """One message per record, as in the JSON files of its object storage destinations."""

    type: str = "rudderstack"
    # request_ip is what the server saw; context.ip, where the SDK knew it, is read after it and wins.
    properties = {"request_ip": "$ip", "requestIP": "$ip", "rudderId": "rudder_id", "channel": "channel"} | dict(
        Segment.properties
    ) | {
        "context.page.referring_domain": "$referring_domain",
        "context.page.tab_url": "tab_url",
        "context.screen.innerWidth": "$viewport_width",
        "context.screen.innerHeight": "$viewport_height",
        "context.sessionId": "rudder_session_id",
    }  # fmt: skip
    notes = (*Segment.notes, ("traits.groupType of group calls", "the group's type, in place of group_type: edition 2"))
    person_set_once = {
        "context.page.initial_referrer": "$initial_referrer",
        "context.page.initial_referring_domain": "$initial_referring_domain",
    }

    # Its SDKs keep the anonymousId when another user logs in, and repeat all traits on every call.
    persons: Literal["every_call", "identify"] = Field(
        "identify", description="Which calls link anonymousId to userId and set context.traits"
    )

    def type_of_group(self, traits: Record) -> str:
        # Under the rules of release 0.1 it is a property: another type is another group, so imported days keep theirs.
        kind = traits.pop("groupType", None) if self.edition > 1 else None
        return kind if type(kind) is str and kind.strip() else self.group_type
