"""user_agent, geoip, currency: what is looked up in data of others."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from pydantic import ValidationError

from posthog_assets.core.errors import ImportFileError
from posthog_assets.mapping.steps import Rejected, load_step
from posthog_assets.pipeline.mapping_files import open_step_files
from posthog_assets_tests.mapping.steps.applying import Given, after, event, left
from posthog_assets_tests.mapping.steps.records import segment_contexts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.1 Mobile/15E148 Safari/604.1",
            ["Mobile Safari", 17.1, "iOS", "17.1.0", "iPhone", "Mobile"],
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/73.0 "
            "Mobile/15E148 Safari/604.1",
            ["Chrome iOS", 73, "iOS", "12.2.0", "iPad", "Tablet"],
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
            "Safari/537.36 Edg/120.0.0.0",
            ["Microsoft Edge", 120, "Windows", "10", None, "Desktop"],
        ),
        (
            "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
            ["Internet Explorer", 11, "Windows", "7", None, "Desktop"],
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-S908B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 "
            "Mobile Safari/537.36",
            ["Chrome", 112, "Android", "13.0.0", "Android", "Mobile"],
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
            ["Firefox", 115, "Linux", None, None, "Desktop"],
        ),
        ("Mozilla/5.0 (PlayStation 4 3.11) AppleWebKit/537.73", [None, None, None, None, "PlayStation 4", "Console"]),
        ("unknown", [None] * 6),
    ],
)
def test_a_user_agent_tells_what_posthogs_web_sdk_would(text: str, expected: list[Any]) -> None:
    told = left({"step": "user_agent"}, {"$raw_user_agent": text})
    names = ["$browser", "$browser_version", "$os", "$os_version", "$device", "$device_type"]
    assert [told.get(name) for name in names] == expected


def test_what_the_source_knew_already_stays() -> None:
    told = left({"step": "user_agent", "names": ["ua"]}, {"ua": "curl/8.1.2", "$browser": "Own", "$os": None})
    assert told == {
        "ua": "curl/8.1.2", "$browser": "Own", "$os": None, "$browser_version": 8.1, "$device_type": "Desktop"
    }  # fmt: skip


def test_crawlers_may_be_left_out() -> None:
    bot = {"user_agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    assert left({"step": "user_agent"}, dict(bot))["$browser"] == "Googlebot"
    with pytest.raises(Rejected, match="^user agent is a bot's: Googlebot$"):
        left({"step": "user_agent", "bots": "reject"}, bot)


def test_user_agents_of_real_messages(real_data: Callable[[str], Path]) -> None:
    agents = [context["userAgent"] for context in segment_contexts(real_data) if context.get("userAgent")]
    step, events = load_step({"step": "user_agent"}).ready(Given()), [event({"userAgent": text}) for text in agents]
    for one in events:
        step(one)
    told = [one.properties for one in events]
    chromes = [one for one in told if one.get("$browser") == "Chrome" and one.get("$os") == "Mac OS X"]
    assert len(chromes) > 200
    assert {one["$os_version"] for one in chromes} >= {"10.14.5", "10.15.2", "10.15.7"}
    assert {one["$device_type"] for one in chromes} == {"Desktop"}


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


RATES = b"""Date,USD,JPY,ISK,
2024-03-01,1.25,160,N/A,
2024-02-29,1.2,150,N/A,
2008-12-09,1.3,120,290,
"""
MONEY: dict[str, Any] = {"step": "currency", "amount": "price", "currency": "code", "to": "EUR", "rates": "rates.csv"}
FILES = Given({"rates.csv": RATES})


def converted(properties: dict[str, Any], at: datetime, **changes: Any) -> dict[str, Any]:
    return after(MONEY | changes, event(properties, at=at), FILES).properties


FRIDAY = datetime(2024, 3, 1, 9, tzinfo=UTC)


def test_an_amount_is_converted_at_the_rate_of_its_day() -> None:
    assert converted({"price": "10", "code": "usd"}, FRIDAY) == {"price": "10", "code": "usd", "price_eur": 8.0}
    assert converted({"price": 10, "code": "EUR"}, FRIDAY)["price_eur"] == 10.0
    assert converted({"price": 1600, "code": "JPY"}, FRIDAY, to="USD", into="usd")["usd"] == 12.5
    assert converted({"price": 10}, datetime(2024, 2, 29, 1, tzinfo=UTC), of="USD", decimals=4)["price_eur"] == 8.3333


def test_a_weekend_has_the_rate_of_friday_but_years_ago_is_no_rate() -> None:
    assert converted({"price": 10, "code": "USD"}, datetime(2024, 3, 3, tzinfo=UTC))["price_eur"] == 8.0
    for at, code in ((datetime(2024, 3, 9, tzinfo=UTC), "USD"), (FRIDAY, "ISK"), (FRIDAY, "XXX"), (FRIDAY, None)):
        assert "price_eur" not in converted({"price": 10, "code": code}, at)
    with pytest.raises(Rejected, match="^price has no rate to EUR: 'ISK' on 2024-03-01$"):
        converted({"price": 10, "code": "ISK"}, FRIDAY, missing="reject")
    with pytest.raises(Rejected, match="^price is no number: 'many'$"):
        converted({"price": "many", "code": "USD"}, FRIDAY, missing="reject")


def test_the_central_banks_rates_come_with_the_library() -> None:
    # 2013-03-21: 1.2910 dollars a euro, as the European Central Bank published it.
    step = {"step": "currency", "amount": "fare", "of": "USD", "to": "EUR"}
    given = event({"fare": 129.1}, at=datetime(2013, 3, 21, tzinfo=UTC))
    with open_step_files() as files:
        load_step(step).ready(files)(given)
    assert given.properties == {"fare": 129.1, "fare_eur": 100.0}


def test_rates_in_a_zip_are_read_too_and_wrong_ones_explained() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("eurofxref-hist.csv", RATES)
    given = event({"price": 10, "code": "USD"})
    after(MONEY, given, Given({"rates.csv": packed.getvalue()}))
    assert given.properties["price_eur"] == 8.0
    for rates, to, words in ((b"<html>", "EUR", "not in the form"), (RATES, "GBP", "has no rates of GBP")):
        with pytest.raises(ImportFileError, match=words):
            after(MONEY | {"to": to}, event({}), Given({"rates.csv": rates}))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"amount": "a", "to": "EUR"}, "needs currency"),
        ({"amount": "a", "of": "usd", "to": "EUR"}, "is no currency"),
        ({"to": "EUR", "of": "USD"}, "amount"),
    ],
)
def test_a_conversion_that_cannot_be_meant_is_refused(step: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        load_step({"step": "currency"} | step)
