"""What was found out about an export, how sure that is, and by what.

Belongs here: the type of a finding. Does not belong here: finding anything out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Certainty(StrEnum):
    """How far a finding can be relied on; an unsure one is marked in the import file."""

    SURE = "sure"
    LIKELY = "likely"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One setting of the import file, `dialect.timestamp`, its value, and why it is that one."""

    setting: str
    value: Any
    certainty: Certainty
    evidence: str
