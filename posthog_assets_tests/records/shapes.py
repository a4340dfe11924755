"""What exports of different products look like, for the benchmark: records by the thousand, and how they are read.

Belongs here: one entry a product in `SHAPES`. Does not belong here: measuring (`benchmark`), or what tests expect.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from posthog_assets_tests.records.shapes_mixpanel import mixpanel

Record = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """`records` gets the source of chance and returns what makes the n-th record of a day, at an instant (UTC).

    `dialect` is the section of the import file, `call` what the SDK's `capture()` is given for a record: event,
    distinct_id, timestamp and properties.
    """

    dialect: dict[str, Any]
    records: Callable[[random.Random], Callable[[int, datetime], Record]]
    call: Callable[[Record], tuple[str, str, datetime, Record]]


def _columns(chance: random.Random) -> Callable[[int, datetime], Record]:
    """About 800 bytes a record, as a web shop's own export might look."""
    pages = [f"https://shop.example/{chance.choice(['p', 'c'])}/{chance.randrange(10**6)}/details" for _ in range(500)]
    agents = [
        f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.{n} Chrome/12{n}.0.0.0 Safari/537.36" for n in range(30)
    ]

    def record(number: int, at: datetime) -> Record:
        return {
            "id": f"{number:x}-{chance.getrandbits(64):016x}",
            "event": ("page viewed", "item added", "search", "checkout started")[number % 4],
            "user": f"user-{chance.randrange(50_000):06d}",
            "time": at.isoformat().replace("+00:00", "Z"),
            "url": chance.choice(pages),
            "referrer": chance.choice(pages),
            "user_agent": chance.choice(agents),
            "price": chance.randrange(100_000) / 100,
            "quantity": chance.randrange(1, 9),
            "currency": "EUR",
            "country": chance.choice(["DE", "FR", "NL", "PL"]),
            "city": chance.choice(["Köln", "Lyon", "Utrecht", "Łódź"]),
            "screen": {"width": 1920, "height": 1080},
            "tags": ["spring", "sale", f"t{chance.randrange(50)}"],
            "session": f"{chance.getrandbits(128):032x}",
            "experiment": f"variant-{chance.randrange(4)}",
            "logged_in": bool(number % 3),
            "coupon": None,
            "note": "x" * chance.randrange(40, 120),
        }

    return record


def _columns_call(record: Record) -> tuple[str, str, datetime, Record]:
    properties = {k: v for k, v in record.items() if k not in ("id", "event", "user", "time")}
    return record["event"], record["user"], datetime.fromisoformat(record["time"]), properties


def _amplitude(chance: random.Random) -> Callable[[int, datetime], Record]:
    """About 2,100 bytes a record: all fields of Amplitude's export, two thirds of the users known, half on the web."""
    people = 20_000
    devices = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(people)]
    started = [f"2023-{1 + n % 12:02}-{1 + n % 28:02} 08:00:00.000000" for n in range(people)]

    def record(number: int, at: datetime) -> Record:
        who = chance.randrange(people)
        web, page = who % 2 == 0, f"/p/{chance.randrange(10**6)}"
        moments = [f"{at + timedelta(seconds=n):%Y-%m-%d %H:%M:%S.%f}" for n in (0, -1, 2, 3, 9)]
        event_time, client_time, uploaded, received, processed = moments
        return {
            "$insert_id": f"{chance.getrandbits(64):016x}", "$insert_key": None, "$schema": None, "adid": None,
            "amplitude_attribution_ids": None, "amplitude_event_type": None, "amplitude_id": 10**11 + who,
            "app": 123456, "city": ("Köln", "Lyon", "Utrecht", "Łódź")[who % 4], "client_event_time": client_time,
            "client_upload_time": uploaded, "country": ("Germany", "France", "Netherlands", "Poland")[who % 4],
            "data": {"path": "/2/httpapi", "user_properties_updated": True, "group_first_event": {}, "group_ids": {}},
            "data_type": "event", "device_brand": None if web else "Apple", "device_carrier": None,
            "device_family": "Mac" if web else "Apple iPhone", "device_id": devices[who], "device_manufacturer": None,
            "device_model": None if web else f"iPhone{who % 5 + 10},2",
            "device_type": "Mac" if web else "Apple iPhone", "dma": None, "event_id": number % 4000,
            "event_properties": {
                "[Amplitude] Page URL": f"https://shop.example{page}", "[Amplitude] Page Domain": "shop.example",
                "[Amplitude] Page Path": page, "[Amplitude] Page Title": "Details – shop",
                "referrer": "https://search.example/", "price": chance.randrange(100_000) / 100, "currency": "EUR",
                "quantity": chance.randrange(1, 9), "tags": ["spring", f"t{chance.randrange(50)}"],
            },
            "event_time": event_time,
            "event_type": ("[Amplitude] Page Viewed", "item added", "search", "checkout started")[number % 4],
            "global_user_properties": None, "group_properties": {}, "groups": {}, "idfa": None,
            "ip_address": f"10.{who % 200}.{who // 200}.7", "is_attribution_event": None, "language": "German",
            "library": "amplitude-ts/2.11.1", "location_lat": None, "location_lng": None,
            "os_name": "Chrome" if web else "ios", "os_version": "125" if web else "17.4", "partner_id": None,
            "paying": None, "plan": {}, "platform": "Web" if web else "iOS", "processed_time": processed,
            "region": "North", "sample_rate": None, "server_received_time": received,
            "server_upload_time": received, "session_id": 1_709_251_200_000 + who, "source_id": None,
            "start_version": None, "user_creation_time": started[who],
            "user_id": f"user-{who:06d}" if who % 3 else None,
            "user_properties": {
                "plan": ("free", "pro", "team")[who % 3], "seats": who % 40, "locale": "de-DE",
                "newsletter": who % 5 == 0,
                "initial_referrer": "EMPTY", "initial_utm_source": "newsletter", "initial_utm_medium": "mail",
                "initial_utm_campaign": f"c{who % 30}", "initial_gclid": "EMPTY", "utm_source": "search",
                "cohort": f"2023-{1 + who % 12:02}",
            },
            "uuid": str(uuid.UUID(int=chance.getrandbits(128), version=1)),
            "version_name": None if web else "7.12.0",
        }  # fmt: skip

    return record


def _amplitude_call(record: Record) -> tuple[str, str, datetime, Record]:
    at = datetime.fromisoformat(record["event_time"] + "+00:00")
    properties = {k: v for k, v in record.items() if k not in ("uuid", "event_type", "event_time") and v is not None}
    return record["event_type"], record["user_id"] or record["device_id"], at, properties


def _mixpanel(chance: random.Random) -> Callable[[int, datetime], Record]:
    return lambda number, at: mixpanel(number, at, chance)


def _mixpanel_call(record: Record) -> tuple[str, str, datetime, Record]:
    properties = dict(record["properties"])
    at = datetime.fromtimestamp(properties.pop("time") / 1000, UTC)
    return record["event"], properties.pop("distinct_id"), at, properties


#: By the name of their dialect.
SHAPES: Final[dict[str, Shape]] = {
    "columns": Shape(
        {
            "type": "columns",
            "event": {"column": "event"},
            "user_id": {"column": "user"},
            "timestamp": {"column": "time"},
            "source_id": {"column": "id"},
        },
        _columns,
        _columns_call,
    ),
    "amplitude": Shape({"type": "amplitude"}, _amplitude, _amplitude_call),
    "mixpanel": Shape({"type": "mixpanel"}, _mixpanel, _mixpanel_call),
}
