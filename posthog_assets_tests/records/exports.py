"""Small exports of every vendor as files, for tests that begin where a user does: with a pile of files.

Belongs here: one entry a vendor in `EXPORTS`. Does not belong here: what a dialect makes of a record.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from posthog_assets_tests.dialects.test_ga4 import ROW as GA4
from posthog_assets_tests.dialects.test_heap import PAGEVIEW as HEAP
from posthog_assets_tests.dialects.test_matomo import ACTION, EVENT, VISIT
from posthog_assets_tests.dialects.test_pendo import CLICK as PENDO
from posthog_assets_tests.dialects.test_snowplow import enriched
from posthog_assets_tests.records.shapes import SHAPES

START: Final = datetime(2024, 3, 1, 10, tzinfo=UTC)
Record = dict[str, Any]


def made(vendor: str, count: int = 40, days: int = 1) -> list[Record]:
    """Return *count* records of one of the benchmark's shapes, spread over *days* from 1 March 2024 on."""
    make = SHAPES[vendor].records(random.Random(7))
    step = timedelta(days=days) / count
    return [make(number, START + number * step) for number in range(count)]


def lines(records: list[Record]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _amplitude(folder: Path) -> Path:
    records = made("amplitude", 120)
    for number, hour in enumerate((0, 5, 13)):
        path = folder / f"123456_2024-03-01_{hour}#0.json.gz"
        path.write_bytes(gzip.compress(lines(records[40 * number : 40 * (number + 1)])))
    return folder


def _mixpanel(folder: Path) -> Path:
    (folder / "export.jsonl").write_bytes(lines(made("mixpanel", days=3)))
    return folder / "export.jsonl"


def _message(number: int, **more: Any) -> Record:
    at = (START + timedelta(minutes=number)).isoformat()
    return {
        "type": "track", "event": "Item Added", "messageId": f"m-{number}", "anonymousId": f"a-{number % 7}",
        "userId": f"u-{number % 5}", "timestamp": at, "originalTimestamp": at, "receivedAt": at,
        "context": {"library": {"name": "analytics.js"}}, "properties": {"price": number},
    } | more  # fmt: skip


def _segment(folder: Path) -> Path:
    # As Segment archives: a folder a day in epoch milliseconds, names without a format.
    day = folder / "segment-logs/abc/1709251200000"
    day.mkdir(parents=True)
    (day / "1709287200.gz").write_bytes(gzip.compress(lines([_message(n) for n in range(30)])))
    return folder


def _rudderstack(folder: Path) -> Path:
    day = folder / "rudder-logs/src/03-01-2024"
    day.mkdir(parents=True)
    records = [_message(n, rudderId="r", channel="web", request_ip="198.51.100.7") for n in range(30)]
    (day / "1709287200.abc.json.gz").write_bytes(gzip.compress(lines(records)))
    return folder


def _ga4(folder: Path) -> Path:
    (folder / "events_20240301.json").write_bytes(lines([GA4] * 5))
    return folder


def _heap(folder: Path) -> Path:
    rows = [HEAP | {"event_id": number} for number in range(5)]
    columns = list(HEAP)
    text = ",".join(columns) + "\n"
    text += "".join(",".join(_cell(row[column]) for column in columns) + "\n" for row in rows)
    (folder / "pageviews.csv").write_text(text)
    return folder / "pageviews.csv"


def _cell(value: Any) -> str:
    return "" if value is None else '"' + str(value).replace('"', '""') + '"'


def _snowplow(folder: Path) -> Path:
    (folder / "run=2024-03-01-10-00-00").mkdir()
    text = "".join(enriched(event_id=f"e-{number}") for number in range(5))
    (folder / "run=2024-03-01-10-00-00/part-00000").write_text(text)
    return folder


def _matomo(folder: Path) -> Path:
    visits = [VISIT | {"idVisit": number, "actionDetails": [ACTION, EVENT]} for number in range(5)]
    (folder / "visits-2024-03-01.json").write_text(json.dumps(visits, indent=1))
    return folder


def _pendo(folder: Path) -> Path:
    (folder / "2024-03-01.jsonl").write_bytes(lines([PENDO | {"eventId": f"e-{n}"} for n in range(5)]))
    return folder


def _posthog(folder: Path) -> Path:
    records = [
        {"uuid": f"018df{n:03}-0000-7000-8000-000000000000", "event": "$pageview", "distinct_id": f"d-{n}",
         "timestamp": f"2024-03-0{1 + n % 2} 10:00:00.000000+00:00", "properties": json.dumps({"$lib": "web"}),
         "person_id": "p", "created_at": "2024-03-02 00:00:00", "elements_chain": ""}
        for n in range(20)
    ]  # fmt: skip
    (folder / "events.jsonl.gz").write_bytes(gzip.compress(lines(records)))
    return folder / "events.jsonl.gz"


#: By vendor: writes an export into an empty folder and returns what a user would point at.
EXPORTS: Final[dict[str, Callable[[Path], Path]]] = {
    "amplitude": _amplitude,
    "ga4": _ga4,
    "heap": _heap,
    "matomo": _matomo,
    "mixpanel": _mixpanel,
    "pendo": _pendo,
    "posthog": _posthog,
    "rudderstack": _rudderstack,
    "segment": _segment,
    "snowplow": _snowplow,
}
