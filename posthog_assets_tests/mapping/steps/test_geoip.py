"""Where an address is, by a database."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from posthog_assets.mapping.steps import Rejected, load_step
from posthog_assets.pipeline.mapping_files import open_step_files
from posthog_assets_tests.mapping.steps.applying import event

BERLIN = {
    "city": {"names": {"en": "Berlin", "de": "Berlin"}},
    "country": {"iso_code": "DE", "names": {"en": "Germany"}},
    "continent": {"code": "EU", "names": {"en": "Europe"}},
    "location": {"latitude": 52.5, "longitude": 13.5, "time_zone": "Europe/Berlin"},
    "postal": {"code": "10115"},
    "subdivisions": [{"iso_code": "BE", "names": {"en": "State of Berlin"}}],
}
TOLD = {
    "$geoip_city_name": "Berlin", "$geoip_country_name": "Germany", "$geoip_country_code": "DE",
    "$geoip_continent_name": "Europe", "$geoip_continent_code": "EU", "$geoip_postal_code": "10115",
    "$geoip_latitude": 52.5, "$geoip_longitude": 13.5, "$geoip_time_zone": "Europe/Berlin",
    "$geoip_subdivision_1_code": "BE", "$geoip_subdivision_1_name": "State of Berlin",
}  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MaxMind database that knows two networks."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test-City", float_type="f64")
    writer.insert_network(IPSet(["81.2.69.0/24", "2001:db8::/32"]), BERLIN)
    path = tmp_path_factory.mktemp("geoip") / "city.mmdb"
    writer.to_db_file(str(path))
    return path


def test_an_address_tells_where_it_is_under_posthogs_names(database: Path) -> None:
    with open_step_files() as files:
        step = load_step({"step": "geoip", "database": str(database)}).ready(files)
        for address in ("81.2.69.142", " 81.2.69.1 ", "2001:db8::1"):
            given = event({"$ip": address})
            step(given)
            assert given.properties == {"$ip": address} | TOLD
        for odd in ("10.0.0.1", "no address", 5, None, ""):
            given = event({"$ip": odd})
            step(given)
            assert given.properties == {"$ip": odd}


def test_a_place_may_be_the_persons_and_the_address_may_go(database: Path) -> None:
    with open_step_files() as files:
        step = {"step": "geoip", "database": str(database), "name": "ip", "person": True, "drop_ip": True}
        given = event({"ip": "81.2.69.142", "page": "Home"})
        load_step(step).ready(files)(given)
    assert given.properties == {"page": "Home"} | TOLD
    assert given.set == TOLD
    assert given.set_once["$initial_geoip_country_code"] == "DE"


def test_a_place_the_source_knew_is_not_mixed_with_another(database: Path) -> None:
    with open_step_files() as files:
        given = event({"$ip": "81.2.69.142", "$geoip_city_name": "Bonn", "$geoip_disable": True})
        load_step({"step": "geoip", "database": str(database)}).ready(files)(given)
        assert given.properties == {"$ip": "81.2.69.142", "$geoip_city_name": "Bonn", "$geoip_disable": True}
        strict = load_step({"step": "geoip", "database": str(database), "invalid": "reject"}).ready(files)
        with pytest.raises(Rejected, match="^\\$ip is no IP address: 'here'$"):
            strict(event({"$ip": "here"}))
