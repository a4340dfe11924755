"""A stand-in for Mixpanel: events and profiles it was sent, exported over real HTTP, with its real misbehaviour.

Belongs here: Mixpanel's endpoints, and the truth about what it was sent. It shares no code with the product; the
namespace of the uuids is written out again on purpose.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply

NAMESPACE = uuid.UUID(bytes=b"posthog_mixpanel")
NAMES = ("$mp_web_page_view", "Sign Up", "Größe gewählt", "購入")
POSTHOG_NAMES = {"$mp_web_page_view": "$pageview"}

#: uuid, event, distinct_id, milliseconds since 1970.
Truth = tuple[str, str, str, int]


@dataclass(frozen=True)
class Sent:
    """An event as it was sent to Mixpanel."""

    name: str
    user: str
    at: int
    insert_id: str
    size: int

    def line(self, chance: random.Random) -> bytes:
        """Return it as one export writes it; when it was processed differs from row to row."""
        properties = {
            "time": self.at, "distinct_id": self.user, "$insert_id": self.insert_id, "$city": "Zürich",
            "mp_country_code": "CH", "$browser": "Firefox", "note": "ü" * self.size,
            "mp_processing_time_ms": self.at + chance.randrange(10_000),
        }  # fmt: skip
        return json.dumps({"event": self.name, "properties": properties}, ensure_ascii=False).encode()

    def truth(self) -> Truth:
        name = POSTHOG_NAMES.get(self.name, self.name)
        return str(uuid.uuid5(NAMESPACE, self.insert_id)), name, self.user, self.at


def sent_on(day: date, count: int, prefix: str = "") -> list[Sent]:
    """Return what was sent on a day, the same whenever it is asked for."""
    chance = random.Random(f"{prefix}{day}")
    start = int(datetime.combine(day, time(), UTC).timestamp() * 1000)
    return [
        Sent(
            chance.choice(NAMES), f"user-{chance.randrange(40)}", start + chance.randrange(86_400_000),
            f"{prefix}{day}-{number}", chance.randrange(60),
        )
        for number in range(count)
    ]  # fmt: skip


#: Gets the lines of an export, what was asked and the random numbers of this attempt; returns what is delivered.
Lines = Callable[[list[bytes], Asked, random.Random], list[bytes]]


class MixpanelServer(ExportServer):
    """Use as a context manager. `lines` changes what is exported, `script` what is answered."""

    def __init__(
        self,
        script: Callable[[Asked, Reply], Reply] = lambda asked, reply: reply,
        *,
        count: int = 562,
        repeated: int = 0,
        lines: Lines = lambda lines, asked, chance: lines,
        profiles: int = 0,
    ) -> None:
        super().__init__(script)
        self.count, self.repeated, self.lines, self.profiles = count, repeated, lines, profiles
        self.late: dict[date, list[Sent]] = {}
        self.sessions = ["session-1"]

    def sent(self, day: date) -> list[Sent]:
        return sent_on(day, self.count) + self.late.get(day, [])

    def truth(self, day: date) -> set[Truth]:
        return {sent.truth() for sent in self.sent(day)}

    @property
    def exports(self) -> list[Asked]:
        return [asked for asked in self.requests if asked.path == "/api/2.0/export"]

    def reply(self, asked: Asked) -> Reply:
        if asked.headers.get("Authorization") != "Basic " + base64.b64encode(b"importer.1:s3cret").decode():
            return Reply(401, b'{"error":"Unable to authenticate request, see docs","status":"error"}')
        if asked.fields.get("project_id") != "7":
            return Reply(400, b'{"error":"Invalid project_id","status":"error"}')
        if asked.path == "/api/2.0/export" and asked.method == "GET":
            return self._export(asked)
        if asked.path == "/api/query/engage" and asked.method == "POST":
            return self._engage(asked)
        if asked.path == "/api/query/segmentation" and asked.method == "GET":
            return self._segmentation(asked)
        return Reply(404, b"not found")

    def _export(self, asked: Asked) -> Reply:
        first, last = (date.fromisoformat(asked.fields[name]) for name in ("from_date", "to_date"))
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        sent = [event for day in days for event in self.sent(day)]
        if asked.fields.get("time_in_ms") != "true":
            sent = [replace(event, at=event.at // 1000) for event in sent]
        if "event" in asked.fields:
            wanted = json.loads(asked.fields["event"])
            sent = [event for event in sent if event.name in wanted]
        chance = random.Random(asked.attempt)
        delivered = self.lines([event.line(chance) for event in sent + sent[: self.repeated]], asked, chance)
        return Reply(body=b"".join(line + b"\n" for line in delivered)).gzipped()

    def _segmentation(self, asked: Asked) -> Reply:
        """Count one event by day, as docs.mixpanel.com/reference/segmentation-query shows it."""
        if (asked.fields["unit"], asked.fields["type"]) != ("day", "general"):
            return Reply(400, b'{"error":"only daily totals here"}')
        first, last = (date.fromisoformat(asked.fields[name]) for name in ("from_date", "to_date"))
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        name = asked.fields["event"]
        counts = {str(day): sum(event.name == name for event in self.sent(day)) for day in days}
        answer = {"data": {"series": list(counts), "values": {name: counts}}, "legend_size": 1}
        return Reply(body=json.dumps(answer).encode())

    def _engage(self, asked: Asked) -> Reply:
        session, page, size = asked.fields.get("session_id", self.sessions[-1]), int(asked.fields["page"]), 10
        if session != self.sessions[-1]:
            return Reply(400, b'{"error":"session expired"}')
        people = [{"$distinct_id": f"user-{n}", "$properties": {"$name": f"N. {n}"}} for n in range(self.profiles)]
        answer = {
            "results": people[page * size : (page + 1) * size], "page": page, "page_size": size,
            "session_id": session, "total": self.profiles, "status": "ok",
        }  # fmt: skip
        return Reply(body=json.dumps(answer).encode()).gzipped()


def reordered(lines: list[bytes], asked: Asked, chance: random.Random) -> list[bytes]:
    """Deliver the same rows in another order each time."""
    return chance.sample(lines, len(lines))


def corrupted(number: int) -> Lines:
    """Deliver one line as something else."""
    return lambda lines, asked, chance: [*lines[:number], b"x" * len(lines[number]), *lines[number + 1 :]]


def plain(asked: Asked, reply: Reply) -> Reply:
    """Deliver without compression."""
    return Reply(reply.status, gzip.decompress(reply.body)) if reply.status == 200 and reply.body else reply


def ending(tail: bytes, attempts: int) -> Callable[[Asked, Reply], Reply]:
    """For so many attempts, deliver half of the lines and then *tail*, as Mixpanel does when it cannot go on."""

    def script(asked: Asked, reply: Reply) -> Reply:
        if asked.attempt > attempts:
            return reply
        lines = gzip.decompress(reply.body).split(b"\n")[:-1]
        return Reply(body=b"\n".join([*lines[: len(lines) // 2], tail])).gzipped()

    return script


def at_first(*replies: Reply) -> Callable[[Asked, Reply], Reply]:
    """Answer the first requests of all with these."""
    left = list(replies)
    return lambda asked, reply: left.pop(0) if left else reply


def too_many(most: int, reply: Reply) -> Callable[[Asked, Reply], Reply]:
    """Answer requests for more names than *most* with *reply*."""

    def script(asked: Asked, usual: Reply) -> Reply:
        names = json.loads(asked.fields.get("event", json.dumps(NAMES)))
        return reply if len(names) > most else usual

    return script
