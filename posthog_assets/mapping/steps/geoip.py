"""The step that says where an address is.

Belongs here: PostHog's names for what a MaxMind database knows. Does not belong here: opening the database (`Files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from posthog_assets.core.rejection import Rejected
from posthog_assets.mapping.steps.base import Apply, Bag, Event, Files, Step, need

#: Where a database has what, and what PostHog's GeoIP transformation calls it, after `$geoip_`.
_FIELDS: Final = (
    ("city_name", ("city", "names", "en")),
    ("country_name", ("country", "names", "en")),
    ("country_code", ("country", "iso_code")),
    ("continent_name", ("continent", "names", "en")),
    ("continent_code", ("continent", "code")),
    ("postal_code", ("postal", "code")),
    ("latitude", ("location", "latitude")),
    ("longitude", ("location", "longitude")),
    ("accuracy_radius", ("location", "accuracy_radius")),
    ("time_zone", ("location", "time_zone")),
)

_NAMES: Final = frozenset(f"$geoip_{name}" for name, _ in _FIELDS)


class Geoip(Step):
    """Tell where an IP address is from a MaxMind database (GeoLite2, GeoIP2, DB-IP), as PostHog does for live events.

    Sets `$geoip_city_name`, `$geoip_country_code` and so on where the event has no `$geoip_…` yet; with `person` also
    the person's, and `$initial_geoip_…`. A database knows where an address is today, not where it was then. What is
    no address `is` skipped, or rejects the event. Needs the extra `enrich`.

    `{step: geoip, database: s3://ours/GeoLite2-City.mmdb, name: $ip, drop_ip: true}`
    """

    database: str = Field(min_length=1, description="Local path or fsspec URL of the .mmdb file")
    name: str = Field("$ip", description="The property that holds the address")
    drop_ip: bool = Field(False, description="Leave the address out afterwards")
    person: bool = Field(False, description="Whether the person gets the place too")
    invalid: Literal["skip", "reject"] = Field("skip", description="What becomes of a value that is no address")

    @model_validator(mode="after")
    def _is_installed(self) -> Geoip:
        need("maxminddb", "geoip")
        return self

    def ready(self, files: Files) -> Apply:
        lookup = files.ip_lookup(self.database)

        @lru_cache(maxsize=100_000)
        def place(address: str) -> Bag | None:
            try:
                return _place(lookup(address) or {})
            except ValueError:
                return None

        def apply(event: Event) -> None:
            bag = event.properties
            address = bag.pop(self.name, None) if self.drop_ip else bag.get(self.name)
            if address is None or address == "":
                return
            found = place(address.strip()) if isinstance(address, str) else None
            if found is None:
                if self.invalid == "reject":
                    raise Rejected(f"{self.name} is no IP address: {str(address)[:60]!r}")
                return
            if found and _NAMES.isdisjoint(bag):
                bag.update(found)
                if self.person:
                    event.set.update(found)
                    event.set_once.update({f"$initial_{key[1:]}": value for key, value in found.items()})

        return apply


def _place(record: Mapping[str, Any]) -> Bag:
    found: Bag = {}
    for name, path in _FIELDS:
        value: Any = record
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        found[f"$geoip_{name}"] = value
    for number, subdivision in enumerate(record.get("subdivisions") or (), start=1):
        found[f"$geoip_subdivision_{number}_code"] = subdivision.get("iso_code")
        found[f"$geoip_subdivision_{number}_name"] = (subdivision.get("names") or {}).get("en")
    return {name: value for name, value in found.items() if value is not None}
