"""A stand-in for an API of records, which pages them in every way there is.

Belongs here: paging, windows and caps as APIs have them, by settings. Does not belong here: any vendor (`vendors`), or
tests. It shares no code with the product.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply, Script

DAY = datetime(2024, 3, 1, tzinfo=UTC)
TOKEN = "t0ken-of-an-api"


def record(number: int, at: datetime, **more: Any) -> dict[str, Any]:
    return {"id": f"r{number}", "at": at.timestamp() if at.microsecond else int(at.timestamp()), "user": "u1"} | more


@dataclass
class Paging:
    """How the API pages. `overlap`: so many records of a page come again on the next one."""

    style: str = "cursor"
    size: int = 3
    overlap: int = 0
    newest_first: bool = False
    start_exclusive: bool = False
    end_inclusive: bool = False
    #: Most records of one query; further ones do not come, and nothing says so.
    cap: int | None = None
    ignores: frozenset[str] = field(default_factory=frozenset)


class RecordsApi(ExportServer):
    """`GET` or `POST /v1/records` with `from`, `to` (epoch seconds); it wants a bearer token."""

    def __init__(
        self, records: list[dict[str, Any]], paging: Paging | None = None, script: Script = lambda asked, reply: reply
    ) -> None:
        super().__init__(script)
        self.records = records
        self.paging = paging or Paging()

    def reply(self, asked: Asked) -> Reply:
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Reply(401, b'{"error": "invalid token"}')
        if asked.path != "/v1/records":
            return Reply(404, b'{"error": "no such resource"}')
        fields = asked.fields | (json.loads(asked.body) if asked.body else {})
        found = self._selected(fields)
        return self._page(found, fields)

    def _selected(self, fields: dict[str, Any]) -> list[dict[str, Any]]:
        paging = self.paging
        low = float(fields.get("from", 0)) if "from" not in paging.ignores else 0.0
        high = float(fields.get("to", 1e12)) if "to" not in paging.ignores else 1e12
        chosen = [
            one
            for one in self.records
            if (one["at"] > low or (one["at"] == low and not paging.start_exclusive))
            and (one["at"] < high or (one["at"] == high and paging.end_inclusive))
        ]
        chosen.sort(key=lambda one: one["at"], reverse=paging.newest_first)
        return chosen if paging.cap is None else chosen[: paging.cap]

    def _page(self, found: list[dict[str, Any]], fields: dict[str, Any]) -> Reply:
        paging = self.paging
        start = int(fields.get("place", fields.get("offset", int(fields.get("page", 0)) * paging.size)))
        stop = start + paging.size
        begin = max(0, start - paging.overlap)
        page, more = found[begin:stop], stop < len(found)
        following = (
            self.url
            + "/v1/records?"
            + urlencode(
                {key: value for key, value in fields.items() if key in ("from", "to")} | {"place": stop},
                quote_via=quote,
            )
        )
        body: Any = {"data": page, "has_more": more, "total": len(found), "pages": -(-len(found) // paging.size)}
        headers = {}
        match paging.style:
            case "cursor":
                body["next_place"] = stop if more else None
            case "json_link":
                body["next"] = following if more else None
            case "header_link":
                headers = {"Link": f'<{self.url}/v1/records>; rel="first", <{following}>; rel="next"'} if more else {}
            case "header_cursor":
                headers = {"X-Next": str(stop)} if more else {}
            case "single_page":
                body = {"data": found}
        return Reply(body=json.dumps(body).encode(), headers=headers | {"Content-Type": "application/json"})


#: How an import file describes each style.
PAGINATORS: dict[str, dict[str, Any]] = {
    "cursor": {"type": "cursor", "cursor_path": "next_place", "cursor_param": "place", "has_more_path": "has_more"},
    "json_link": {"type": "json_link", "next_url_path": "next"},
    "header_link": {"type": "header_link"},
    "header_cursor": {"type": "header_cursor", "cursor_key": "X-Next", "cursor_param": "place"},
    "offset": {"type": "offset", "limit": 3, "limit_param": "size"},
    "page_number": {"type": "page_number", "total_path": "pages"},
    "single_page": {"type": "single_page"},
}


def settings(url: str, style: str = "cursor", **options: Any) -> dict[str, Any]:
    """Return the `source` section for the API at *url*; *options* for the endpoint are `endpoint_…`."""
    endpoint = {key.removeprefix("endpoint_"): options.pop(key) for key in list(options) if key.startswith("endpoint_")}
    return {
        "type": "rest",
        "client": {
            "base_url": f"{url}/v1", "auth": {"type": "bearer", "token": TOKEN}, "paginator": PAGINATORS[style],
        },
        "endpoint": {
            "path": "records", "data_selector": "data", "primary_key": "id",
            "incremental": {
                "cursor_path": "at", "start_param": "from", "end_param": "to", "format": "epoch_seconds",
            },
        } | endpoint,
    } | options  # fmt: skip


def day_of_records(count: int = 10, day: datetime = DAY) -> list[dict[str, Any]]:
    """Return records spread over a day, the first and the last at its very ends."""
    step = timedelta(seconds=(86_399) / max(count - 1, 1))
    return [record(number, (day + step * number).replace(microsecond=0)) for number in range(count)]
