"""The properties that every imported event carries, so that it can be found again and traced to its original.

Belongs here: their names. The first four are those PostHog's own managed migrations write; the others say which day of
the import an event came with, and which record it was.
"""

from typing import Final

GEOIP_PROPERTY: Final = "$geoip_disable"
HISTORICAL_PROPERTY: Final = "historical_migration"
SOURCE_PROPERTY: Final = "analytics_source"
IMPORT_PROPERTY: Final = "$import_job_id"
DAY_PROPERTY: Final = "$import_day"
SOURCE_ID_PROPERTY: Final = "$import_source_id"

MARKERS: Final = (
    GEOIP_PROPERTY,
    HISTORICAL_PROPERTY,
    SOURCE_PROPERTY,
    IMPORT_PROPERTY,
    DAY_PROPERTY,
    SOURCE_ID_PROPERTY,
)
