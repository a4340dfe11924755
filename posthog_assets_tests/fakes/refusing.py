"""Five days of a shop, and a PostHog that refuses some of them, for the tests of re-importing.

Belongs here: the days, their import file, and the refusal. The PostHog behind it is the sandbox.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import urllib3

from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

DAYS = ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04", "2024-03-05"]
#: Events a day.
EVENTS = 40

#: Headers of the connection, not of the request.
_NOT_FORWARDED = ("host", "connection", "content-length", "accept-encoding")


class RefusingPostHog(CaptureServer):
    """A sandbox whose door refuses every event of the (import, day) pairs in `refused`, and remembers what passed."""

    def __init__(self, sandbox: Any) -> None:
        super().__init__(self._reply)
        self.refused: set[tuple[str, str]] = set()
        self.passed: list[tuple[str, str]] = []
        self._sandbox = sandbox
        self._pool = urllib3.PoolManager()

    def _reply(self, asked: Asked) -> Reply:
        marks = {_mark(event) for event in asked.body.get("batch", [])}
        if marks & self.refused:
            return Reply(401, b"this day is refused")
        response = self._pool.request(
            "POST" if asked.raw else "GET", self._sandbox.url + asked.path, body=asked.raw,
            headers={name: value for name, value in asked.headers.items() if name.lower() not in _NOT_FORWARDED},
        )  # fmt: skip
        self.passed += sorted(marks)
        return Reply(response.status, response.data, {"Content-Type": response.headers["Content-Type"]}, take=False)

    def landed(self, name: str) -> dict[str, int]:
        """Return how many events of import *name* the sandbox holds, by day."""
        found: dict[str, int] = {}
        for _, _, _, _, properties in self._sandbox.events():
            if properties.get("$import_job_id") == name:
                found[properties["$import_day"]] = found.get(properties["$import_day"], 0) + 1
        return found


def _mark(event: dict[str, Any]) -> tuple[str, str]:
    return event["properties"]["$import_job_id"], event["properties"]["$import_day"]


def write_days(folder: Path) -> None:
    """Write `<day>.jsonl` for each of the five days."""
    folder.mkdir(parents=True)
    for day in DAYS:
        rows = [
            {
                "id": f"{day}-{number}",
                "user": f"customer-{number % 7}",
                "at": f"{day}T{8 + number // 4:02}:{number % 4 * 15:02}:00Z",
                "what": ("page viewed", "item added", "order placed")[number % 3],
                "price": number * 1.5,
            }
            for number in range(EVENTS)
        ]
        (folder / f"{day}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def import_file(name: str, folder: Path, host: str) -> str:
    """Return the import file of the five days in `folder/exports`, into the project at *host*."""
    return f"""
type: posthog_assets.HistoricalImport
attributes:
  name: {name}
  start_date: "{DAYS[0]}"
  end_date: "{DAYS[-1]}"
  storage: {folder / "data"}
  owners: [data@shop.example, "team:growth"]
  source:
    type: files
    path: "{folder / "exports"}/{{day}}.jsonl"
  dialect:
    type: columns
    event: {{column: what}}
    user_id: {{column: user}}
    timestamp: {{column: at}}
    source_id: {{column: id}}
  destination:
    host: {host}
    project_api_key: phc_sandbox
    personal_api_key: phx_sandbox
    project_id: "1"
    landing_seconds: 20
"""
