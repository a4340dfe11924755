"""What a delivery did, in numbers.

Belongs here: the report. Does not belong here: sending (`delivery`).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class DeliveryReport:
    """What a delivery did: `events` = `acknowledged` + `dropped` + `owed`, at any moment."""

    events: int = 0
    #: Acknowledged by an earlier run, unchanged since, not sent again.
    already_acknowledged: int = 0
    acknowledged: int = 0
    warnings: int = 0
    dropped: int = 0
    drop_reasons: dict[str, int] = field(default_factory=dict)
    #: Events that got their verdict in this run.
    sent: int = 0
    batches: int = 0
    requests: int = 0
    retries: int = 0
    raw_bytes: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0
    protocol: str = ""
    #: Younger than 48 hours: PostHog bills them as live.
    recent: int = 0
    #: Those of them that are kept back; they stay owed until a later run.
    held_back: int = 0
    #: Acknowledged earlier, but not among the day's events any more; PostHog cannot delete them.
    orphaned: int = 0
    #: Acknowledged earlier, changed since: sent again, and replaced in PostHog.
    changed: int = 0
    #: Those of them that are sent without what they say of their person (`destination.resend_persons`).
    without_person: int = 0
    #: Acknowledged earlier, under another day, name or distinct_id: PostHog would keep both versions.
    moved: int = 0
    #: Some of their uuids.
    moved_examples: list[str] = field(default_factory=list)
    #: Why the day's group types were not held against the project's, where it should have been asked.
    group_types_unchecked: str = ""

    @property
    def owed(self) -> int:
        return self.events - self.acknowledged - self.dropped


def count_reason(counts: dict[str, int], key: str, more: int) -> None:
    counts[key] = counts.get(key, 0) + more
