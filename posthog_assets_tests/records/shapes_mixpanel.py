"""A day of a web shop as Mixpanel exports it, for the benchmark.

Belongs here: records of Mixpanel's shape, and the settings that read them. Does not belong here: measuring.
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

_NAMES = ("$mp_web_page_view", "Item Added", "Search", "Checkout Started", "$mp_click")
_CITIES = (("Köln", "North Rhine-Westphalia", "DE"), ("Lyon", "Rhône", "FR"), ("Łódź", "Lodz Voivodeship", "PL"))


def mixpanel(number: int, at: datetime, chance: random.Random) -> dict[str, Any]:
    """Return the record of event *number*, of about a kilobyte, as Mixpanel's web SDK and export make it."""
    person = chance.randrange(50_000)
    city, region, country = chance.choice(_CITIES)
    page = f"/p/{chance.randrange(100_000)}/details"
    device = f"18df{person:08x}-0{person % 97:02x}-1f525637-1fa400-18df{person:08x}"
    known = person % 3 != 0
    properties = {
        "time": round(at.timestamp() * 1000),
        "distinct_id": f"user-{person:06d}" if known else f"$device:{device}",
        "$browser": "Chrome",
        "$browser_version": 122,
        "$city": city,
        "$current_url": f"https://shop.example{page}?ref={chance.randrange(1_000)}",
        "$device_id": device,
        "$initial_referrer": "https://www.google.com/",
        "$initial_referring_domain": "www.google.com",
        "$insert_id": f"{chance.getrandbits(80):020x}",
        "$lib_version": "2.49.0",
        "$mp_api_endpoint": "api-js.mixpanel.com",
        "$mp_api_timestamp_ms": round(at.timestamp() * 1000) + 412,
        "$os": chance.choice(("Windows", "Mac OS X", "Linux")),
        "$region": region,
        "$screen_height": 1080,
        "$screen_width": 1920,
        "current_domain": "shop.example",
        "current_page_title": f"Product {chance.randrange(100_000)}",
        "current_url_path": page,
        "current_url_protocol": "https:",
        "mp_country_code": country,
        "mp_lib": "web",
        "mp_processing_time_ms": round(at.timestamp() * 1000) + 900,
        "mp_sent_by_lib_version": "2.49.0",
        "price": chance.randrange(100_000) / 100,
        "quantity": chance.randrange(1, 9),
        "tags": ["spring", f"t{chance.randrange(50)}"],
        "utm_campaign": "spring",
        "utm_source": "newsletter",
    }
    if known:
        properties["$user_id"] = properties["distinct_id"]
    return {"event": _NAMES[number % len(_NAMES)], "properties": properties}
