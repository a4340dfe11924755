"""RudderStack: Segment's messages with some fields more.

Belongs here: what RudderStack writes and Segment does not. Does not belong here: the rest (`segment`); the tables of
its warehouse destinations, whose columns are flat (`columns`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from posthog_assets.dialects.base import SessionField
from posthog_assets.dialects.record import Record
from posthog_assets.dialects.segment import Segment


class RudderStack(Segment):
    """One message per record, as in the JSON files of its object storage destinations."""

    type: str = "rudderstack"
    session = SessionField("rudder_session_id", "s")
    marks: ClassVar[tuple[tuple[str, ...], ...]] = tuple(
        (*paths, own) for own in ("rudderId", "request_ip", "requestIP", "channel") for paths in Segment.marks
    )
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

    @classmethod
    def recognize(cls, record: Record) -> tuple[str, ...]:
        """Return the marks of RudderStack's own fields, or Segment's where the library is RudderStack's."""
        if found := super().recognize(record):
            return found
        context = record.get("context")
        library = context.get("library") if type(context) is dict else None
        name = library.get("name") if type(library) is dict else None
        ours = type(name) is str and "rudder" in name.lower()
        return (*found, "RudderStack's SDK") if ours and (found := Segment.recognize(record)) else ()

    # Its SDKs keep the anonymousId when another user logs in, and repeat all traits on every call.
    persons: Literal["every_call", "identify"] = Field(
        "identify", description="Which calls link anonymousId to userId and set context.traits"
    )

    def type_of_group(self, traits: Record) -> str:
        # Under the rules of release 0.1 it is a property: another type is another group, so imported days keep theirs.
        kind = traits.pop("groupType", None) if self.edition > 1 else None
        return kind if type(kind) is str and kind.strip() else self.group_type
