"""What the user wants a record to be in PostHog.

Belongs here: names, properties, identity, uuids, PostHog's rules, the order of a day. Does not belong here: files other
than the spill folder a caller gives, network, clock, Dagster.
"""

from posthog_assets.mapping.day import Around, MappingReport, Survey, map_day
from posthog_assets.mapping.events import EventMapper
from posthog_assets.mapping.settings import Mapping
from posthog_assets.mapping.sorting import Floors

__all__ = ["Around", "EventMapper", "Floors", "Mapping", "MappingReport", "Survey", "map_day"]
