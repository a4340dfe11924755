"""A stand-in for Amplitude's Export API, with a day of its own and the truth about it.

Belongs here: what Amplitude delivers, what must land of it, and the ways in which deliveries go wrong. Does not belong
here: tests. It shares no code with the product.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply, Script

DAY = datetime(2024, 3, 1, tzinfo=UTC)
API_KEY, SECRET_KEY = "4b2fd1c0", "s3cret-of-amplitude"
IMPORT = "shop"

#: Ids of records without a uuid: derived from the root of all this project's ids, the import's name, device and insert
#: id. Spelled out here on purpose.
NAMESPACE = uuid.uuid5(uuid.UUID("6f1d8c9e-4f0b-5c8a-9f6e-2f6f3b1a7d42"), IMPORT)

#: Something that must land: uuid, event, distinct_id, instant.
Landing = tuple[str, str, str, datetime]


@dataclass
class Day:
    """A day of uploads: lines by hour, and what must become of them."""

    lines: dict[int, list[bytes]] = field(default_factory=dict)
    events: set[Landing] = field(default_factory=set)
    #: user id, device id.
    pairs: set[tuple[str, str]] = field(default_factory=set)
    rejected: int = 0

    def add(self, hour: int, record: dict[str, Any], landing: Landing | None) -> None:
        """Add a record uploaded in *hour*; without *landing* it must be rejected."""
        self.lines.setdefault(hour, []).append(json.dumps(record, ensure_ascii=False).encode())
        if landing is None:
            self.rejected += 1
            return
        self.events.add(landing)
        if record.get("user_id") and record.get("device_id"):
            self.pairs.add((record["user_id"], record["device_id"]))


def make_day(seed: int, hours: tuple[int, ...] = (0, 1, 5, 6, 7, 13, 23), each: int = 12, padding: int = 0) -> Day:
    """Return a day with *each* records in each of *hours*, some of them odd; *padding* multi-byte letters in each."""
    chance = random.Random(seed)
    day = Day()
    for hour in hours:
        for number in range(each):
            add_record(day, chance, hour, number, "" if not padding else "ü😀"[number % 2 :] * padding)
    return day


def add_record(day: Day, chance: random.Random, hour: int, number: int, note: str) -> None:
    """Add one record, good or odd by its number."""
    happened = DAY + timedelta(hours=hour, microseconds=chance.randrange(3_600_000_000)) - timedelta(days=number % 3)
    user = f"user-{chance.randrange(5)}" if number % 4 else None
    device = f"device-{chance.randrange(8)}"
    sent = chance.choice(["buy", "[Amplitude] Page Viewed", "[Amplitude] Element Clicked", "Sök ü"])
    event = {"[Amplitude] Page Viewed": "$pageview", "[Amplitude] Element Clicked": "$autocapture"}.get(sent, sent)
    identifier, insert_id = str(uuid.UUID(int=chance.getrandbits(128), version=1)), f"{chance.getrandbits(64):x}"
    record: dict[str, Any] = {
        "uuid": identifier, "$insert_id": insert_id, "event_type": sent, "user_id": user, "device_id": device,
        "event_time": f"{happened:%Y-%m-%d %H:%M:%S.%f}", "platform": "Web", "os_name": "Chrome", "groups": {},
        "server_upload_time": f"{DAY + timedelta(hours=hour):%Y-%m-%d %H:%M:%S.%f}", "event_properties": {"note": note},
        "user_properties": {"plan": "pro", "initial_utm_source": "EMPTY"}, "group_properties": {}, "session_id": -1,
    }  # fmt: skip
    landing: Landing | None = (identifier, event, user or device, happened)
    match number:
        case 1:
            record["event_type"], landing = "session_start", None
        case 2:
            record |= {"user_id": None, "device_id": ""}
            landing = None
        case 3:
            record |= dict.fromkeys(("event_time", "server_upload_time"), "yesterday")
            landing = None
        case 4:
            record |= {"event_time": None, "client_event_time": record["event_time"]}
        case 5:
            del record["uuid"]
            made = str(uuid.uuid5(NAMESPACE, json.dumps([device, insert_id], separators=(",", ":"))))
            landing = (made, event, user or device, happened)
    day.add(hour, record, landing)


class AmplitudeServer(ExportServer):
    """Amplitude when all is well, for one project and one day."""

    def __init__(self, day: Day, script: Script = lambda asked, reply: reply) -> None:
        super().__init__(script)
        self.day = day

    def reply(self, asked: Asked) -> Reply:
        expected = "Basic " + base64.b64encode(f"{API_KEY}:{SECRET_KEY}".encode()).decode()
        if asked.headers.get("Authorization") != expected:
            return Reply(403, b"Forbidden")
        if asked.path == "/api/2/events/segmentation":
            return self._segmentation(asked)
        assert asked.path == "/api/2/export"
        members = {
            f"123456_2024-03-01_{hour}#{part}.json.gz": gzip.compress(b"\n".join(lines[part::2]) + b"\n")
            for hour, lines in self.day.lines.items()
            if hour in hours_of(asked)
            for part in (0, 1)
        }
        return Reply(body=archive(members)) if members else Reply(404, b"Raw data files were not found.")

    def _segmentation(self, asked: Asked) -> Reply:
        """Count one event by day, as amplitude.com/docs/apis/analytics/dashboard-rest shows it."""
        first, last = (datetime.strptime(asked.fields[name], "%Y%m%d").replace(tzinfo=UTC) for name in ("start", "end"))
        days = [f"{first + timedelta(days=n):%Y-%m-%d}" for n in range((last - first).days + 1)]
        if (asked.fields["m"], asked.fields["i"]) != ("totals", "1") or len(days) > 365:
            return Reply(400, b'{"error":"only daily totals of a year here"}')
        name = json.loads(asked.fields["e"])["event_type"]
        records = [json.loads(line) for lines in self.day.lines.values() for line in lines]
        found = [_day_of(record) for record in records if record["event_type"] == name]
        data = {"series": [[found.count(day) for day in days]], "seriesLabels": [0], "xValues": days}
        return Reply(body=json.dumps({"data": data}).encode())


def _day_of(record: dict[str, Any]) -> str:
    """Return the UTC day Amplitude shows a record under: that of its time, else of its upload."""
    times = (record.get(name) or "" for name in ("event_time", "client_event_time", "server_upload_time"))
    return next((time[:10] for time in times if time[:2] == "20"), f"{DAY:%Y-%m-%d}")


def hours_of(asked: Asked) -> range:
    """Return the hours a request asks for, both ends included."""
    start, end = asked.fields["start"], asked.fields["end"]
    assert start[:9] == end[:9] == "20240301T", "one day at a time"
    return range(int(start[9:]), int(end[9:]) + 1)


def archive(members: dict[str, bytes]) -> bytes:
    """Return a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return file.getvalue()


def repacked(reply: Reply, change: Callable[[bytes], bytes]) -> Reply:
    """Return the reply with each member of its zip changed."""
    if reply.status != 200:
        return reply
    with zipfile.ZipFile(io.BytesIO(reply.body)) as zipped:
        return replace(reply, body=archive({name: change(zipped.read(name)) for name in zipped.namelist()}))


def shuffled(reply: Reply, seed: int) -> Reply:
    """Return the same records in another order, and so in other bytes."""

    def change(member: bytes) -> bytes:
        lines = gzip.decompress(member).splitlines()
        random.Random(seed).shuffle(lines)
        return gzip.compress(b"\n".join(lines) + b"\n", 1 + seed % 9)

    return repacked(reply, change)


def cut(reply: Reply) -> Reply:
    """Return half of the body, as if that were all."""
    return replace(reply, body=reply.body[: len(reply.body) // 2])


#: What may go wrong with one delivery and is right the next time, by name.
PASSING: dict[str, Callable[[Reply], Reply]] = {
    "rate limit": lambda reply: Reply(429, headers={"Retry-After": "7"}),
    "gateway timeout": lambda reply: Reply(504, b"upstream request timeout"),
    "server error": lambda reply: Reply(500),
    "no answer": lambda reply: Reply(None),
    "half a body": lambda reply: replace(reply, half=True),
    "empty body": lambda reply: Reply(),
    "zip without members": lambda reply: Reply(body=archive({})),
    "page of a login": lambda reply: Reply(body=b"<html>Log in</html>"),
    "truncated zip": cut,
    "truncated member": lambda reply: repacked(reply, lambda member: member[:-9]),
    "member without bytes": lambda reply: repacked(reply, lambda member: b""),
    "member compressed twice": lambda reply: repacked(reply, gzip.compress),
    "fewer records, cut": lambda reply: cut(repacked(reply, lambda member: gzip.compress(b"{}\n"))),
}

#: Those that are a delivery which cannot be read; the third in a row is the last.
UNREADABLE = frozenset(PASSING) - {"rate limit", "gateway timeout", "server error", "no answer", "half a body"}
