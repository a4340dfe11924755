"""The `rejects` section of the import file: how many records of a day may be rejected.

Belongs here: the setting, and what a day's share of rejected records means by it. Does not belong here: any reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field, model_validator

from posthog_assets.core.rejection import is_on_purpose
from posthog_assets.core.sections import Section


class Verdict(StrEnum):
    """What the rejected records of a day mean."""

    FINE = "fine"
    WARN = "warn"
    FAIL = "fail"


class Rejects(Section):
    """Shares of a day's records, 0.01 is 1 %. What dialect or mapping leave out on purpose does not count."""

    warn: float = Field(0.01, ge=0, le=1, description="Above this share the day has a warning")
    fail: float = Field(
        0.5, ge=0, le=1, description="Above this share the day's check fails; a day without any good record always does"
    )

    @model_validator(mode="after")
    def _warns_first(self) -> Rejects:
        if self.warn > self.fail:
            raise ValueError(f"warn ({self.warn:g}) is above fail ({self.fail:g})")
        return self

    def judge(self, lost: Lost) -> Verdict:
        """Return what it means that so many records of a day are lost."""
        if not lost.records:
            return Verdict.FINE
        if lost.count == lost.records or lost.share > self.fail:
            return Verdict.FAIL
        return Verdict.WARN if lost.share > self.warn else Verdict.FINE


@dataclass(frozen=True, slots=True)
class Lost:
    """Of so many records, those that do not become an event although they should, and why most of them do not."""

    records: int
    count: int
    reason: str | None = None

    @classmethod
    def of(cls, records: int, *reasons: Mapping[str, int]) -> Lost:
        """Return what the *reasons* of the steps amount to; those on purpose are neither lost nor records."""
        counts: Counter[str] = Counter()
        for some in reasons:
            counts.update(some)
        lost = Counter({reason: count for reason, count in counts.items() if not is_on_purpose(reason)})
        reason = min(lost, key=lambda head: (-lost[head], head), default=None)
        return cls(records - (counts.total() - lost.total()), lost.total(), reason)

    @property
    def share(self) -> float:
        return self.count / self.records if self.records else 0.0

    @property
    def words(self) -> str:
        """One sentence: how many, which share, the commonest reason."""
        most = f"; most often: {self.reason}" if self.reason else ""
        return f"{self.count:,} of {self.records:,} records are rejected ({self.share:.1%}){most}"
