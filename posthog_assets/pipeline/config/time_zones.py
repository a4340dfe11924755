"""Times without a zone: the source and the dialect read the same ones.

Belongs here: what follows where one of them is given a zone, or both are. Does not belong here: how a time is read
(`core.timestamps`), which rows are a day's (`sources`).
"""

from __future__ import annotations

from posthog_assets.dialects.base import Dialect
from posthog_assets.sources.base import Source, ZoneStrength


def with_agreed_time_zone(source: Source, dialect: Dialect) -> Dialect:
    """Return *dialect*, with the zone that *source* has for its times where the dialect has none.

    Raises:
        ValueError: both have a zone for the same times, and the two differ.
    """
    known = source.naive_times(dialect.time_column)
    if not dialect.timezone_setting or not known or not known.zone:
        return dialect
    given = dialect.given_timezone
    if given is None:
        return dialect if known.claim is ZoneStrength.HINT else dialect.with_timezone(known.zone)
    if given != known.zone and known.claim is ZoneStrength.FACT:
        raise ValueError(
            f"source.{known.setting} is {known.zone}, dialect.{dialect.timezone_setting} is {given}, and both are of "
            f"the same times, those without a zone: say the right one in source.{known.setting}, and leave "
            f"dialect.{dialect.timezone_setting} out"
        )
    return dialect


def time_zone_warning(source: Source, dialect: Dialect) -> str | None:
    """Return what may be wrong with the zones of *source* and *dialect*, which need not be; None: nothing."""
    known, given, setting = source.naive_times(dialect.time_column), dialect.given_timezone, dialect.timezone_setting
    if not setting or not known:
        return None
    if known.zone is None:
        if given in (None, "UTC") or known.claim is not ZoneStrength.FACT:
            return None
        return (
            f"dialect.{setting} is {given}, but a day counts as over at midnight in UTC: say source.{known.setting}, "
            f"and leave dialect.{setting} out"
        )
    if given is None and known.claim is ZoneStrength.HINT and known.zone != "UTC":
        return (
            f"days are those of {known.zone} (source.{known.setting}), but times without a zone are read as UTC: say "
            f"dialect.{setting}"
        )
    if given not in (None, known.zone):
        return (
            f"source.{known.setting} is {known.zone}, dialect.{setting} is {given}: right only if the events' times "
            "have another zone than the days"
        )
    return None
