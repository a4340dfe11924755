"""The HTTP side of the sandbox.

Belongs here: routes, and answers in PostHog's shape. Does not belong here: rules (`capture_v1`, `capture_v0`, `hogql`),
what the page shows (`events_page`), storage.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from posthog_assets.sandbox import capture_v0 as v0
from posthog_assets.sandbox import capture_v1 as v1
from posthog_assets.sandbox import events_page
from posthog_assets.sandbox.bodies import (
    BATCH_WIRE,
    EVENT_WIRE,
    QUERY_WIRE,
    V1_WIRE,
    BodyRefused,
    body_within,
    unpack_v0,
)
from posthog_assets.sandbox.hogql import HIGHEST_LIMIT, QueryRefused, printed, translate
from posthog_assets.sandbox.project import EntryRefused, ProjectEntries
from posthog_assets.sandbox.rules import group_types, ingestion_warning
from posthog_assets.sandbox.store import EventStore, IngestionWarning, QueryFailed, Row

PROJECT_ID: Final = "1"

_EVENT_PATHS: Final = ("/i/v0/e", "/e", "/capture", "/track", "/engage")


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """How the sandbox behaves: *project_key* None takes any well-formed key; *v1* is on, unconfigured or absent.

    *most_rows* is how many rows an answer to a query holds at most: 10,000 in PostHog's older versions.
    """

    project_key: str | None = None
    v1: str = "on"
    most_rows: int = HIGHEST_LIMIT


class _App:
    def __init__(self, store: EventStore, settings: SandboxSettings) -> None:
        self._store = store
        self._settings = settings
        self._work = ThreadPoolExecutor(1, "clickhouse")
        self._entries = ProjectEntries(store.folder / "project.json", self._persons)
        self._requests: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def routes(self) -> list[Route]:
        capture = [
            Route(f"{path}{slash}", self.capture, methods=["POST", "GET"])
            for path in (*_EVENT_PATHS, "/batch")
            for slash in ("", "/")
        ]
        if self._settings.v1 != "absent":
            capture.append(Route("/i/v1/analytics/events", self.events_v1, methods=["POST"]))
        return [
            *capture,
            Route("/api/projects/{project}/", self.project),
            Route("/api/projects/{project}/query", self.query, methods=["POST"]),
            Route("/api/projects/{project}/query/", self.query, methods=["POST"]),
            *(
                Route(f"/api/projects/{{project}}/{what}/{rest}", self.entries, methods=["GET", "POST", "PATCH"])
                for what in ("annotations", "event_definitions", "cohorts")
                for rest in ("", "{key}/")
            ),
            Route("/sandbox/stats", self.stats),
            Route("/sandbox/events", self.events),
            Route("/", self.page),
            # Links to PostHog's own pages lead to the one page there is.
            Route("/project/{project}/{page:path}", _to_page),
            *(Route(path, _alive) for path in ("/_readiness", "/_liveness")),
        ]

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._work, function, *arguments)

    async def events_v1(self, request: Request) -> Response:
        self._requests[request.url.path] += 1
        if self._settings.v1 == "unconfigured":
            return _json({"error": "service_unavailable", "error_description": "v1 sink not configured"}, 503)
        try:
            token = v1.token_of(request.headers)
            body = await body_within(request, V1_WIRE)
            results, rows = await self._in_thread(v1.take, request.headers, body, datetime.now(UTC))
            await self._in_thread(self._keep, token, rows, len(results))
        except BodyRefused as refused:
            return _json({"error": refused.tag, "error_description": refused.words}, refused.status)
        return _json({"results": results})

    async def capture(self, request: Request) -> Response:
        self._requests[request.url.path] += 1
        if request.method == "GET":
            return PlainTextResponse("No data", 400)
        limit = BATCH_WIRE if request.url.path.startswith("/batch") else EVENT_WIRE
        form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        hint = request.query_params.get("compression") or request.headers.get("content-encoding") or ""
        try:
            body = await body_within(request, limit)
            raw = unpack_v0(body, limit, form=form, hint=hint)
            sent_at = _milliseconds(request.query_params.get("_"))
            token, rows, too_large = await self._in_thread(v0.take, raw, datetime.now(UTC), sent_at)
            await self._in_thread(self._keep, token, rows, len(rows))
        except BodyRefused as refused:
            return PlainTextResponse(refused.words, refused.status)
        if too_large:
            return PlainTextResponse("event is too big", 413)
        if request.query_params.get("beacon") == "1":
            return Response(status_code=204)
        return _json({"status": "Ok"})

    def _keep(self, token: str, rows: list[Row], received: int) -> None:
        self._counts["events_received"] += received
        # PostHog does not know at its edge which keys exist: events of another one are taken and go nowhere.
        if self._settings.project_key not in (None, token):
            self._counts["misdirected"] += len(rows)
            return
        kept: list[Row] = []
        warnings: list[IngestionWarning] = []
        kinds: list[str] = []
        for row in rows:
            if warning := ingestion_warning(row.event, row.properties):
                warnings.append(IngestionWarning(warning, {"eventUuid": row.uuid, "distinctId": row.distinct_id}))
            else:
                kept.append(row)
                kinds += group_types(row.event, row.properties)
        self._store.insert(kept)
        self._store.warn(warnings)
        self._store.add_group_types(kinds)
        self._counts["events_stored"] += len(kept)

    def _unauthorized(self, request: Request) -> Response | None:
        self._requests[request.url.path] += 1
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return _refused(
                401, "authentication_error", "not_authenticated", "Authentication credentials were not provided."
            )
        if not key.strip().startswith("phx_"):
            return _refused(401, "authentication_error", "authentication_failed", "Personal API key is invalid.")
        if request.path_params["project"] != PROJECT_ID:
            return _refused(404, "invalid_request", "not_found", "Project not found.")
        return None

    async def project(self, request: Request) -> Response:
        if refusal := self._unauthorized(request):
            return refusal
        settings = {"id": int(PROJECT_ID), "name": "Sandbox", "timezone": "UTC", "drop_events_older_than": None}
        # Without a key of its own the sandbox takes any: then there is none to tell.
        return _json(settings | {"api_token": self._settings.project_key})

    async def query(self, request: Request) -> Response:
        if refusal := self._unauthorized(request):
            return refusal
        try:
            content = orjson.loads(await body_within(request, QUERY_WIRE))
            asked = content["query"]
            if asked.get("kind") != "HogQLQuery":
                return _refused(
                    400, "validation_error", "invalid_input", "only queries of kind HogQLQuery are answered"
                )
            sql = translate(asked["query"], self._settings.most_rows)
            answer = await self._in_thread(self._store.query, sql)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return _refused(
                400, "validation_error", "invalid_input", 'expected {"query": {"kind": "HogQLQuery", "query": "…"}}'
            )
        except BodyRefused as refused:
            return _refused(refused.status, "invalid_request", "payload_too_large", refused.words)
        except (QueryRefused, QueryFailed) as error:
            return _refused(400, "validation_error", "hogql_error", str(error)[:500])
        return _json(
            {
                "results": answer["data"],
                "columns": [column["name"] for column in answer["meta"]],
                "types": [[column["name"], column["type"]] for column in answer["meta"]],
                "hogql": printed(asked["query"], self._settings.most_rows),
                "is_cached": False,
                "error": None,
            }
        )

    def _persons(self, hogql: str) -> int:
        """Return how many rows a cohort's query has."""
        try:
            return len(self._store.query(translate(hogql, self._settings.most_rows))["data"])
        except (QueryRefused, QueryFailed) as error:
            raise EntryRefused("query", str(error)[:500]) from error

    async def entries(self, request: Request) -> Response:
        """Answer for annotations, event definitions and cohorts: lists, new ones, and changes."""
        if refusal := self._unauthorized(request):
            return refusal
        what, key = request.url.path.split("/")[4], request.path_params.get("key")
        try:
            given = orjson.loads(await body_within(request, QUERY_WIRE) or b"{}")
            return await self._in_thread(self._entry, request, what, key, given)
        except orjson.JSONDecodeError:
            return _refused(400, "validation_error", "parse_error", "JSON parse error")
        except BodyRefused as refused:
            return _refused(refused.status, "invalid_request", "payload_too_large", refused.words)
        except EntryRefused as entry:
            return _refused(400, "validation_error", "invalid_input", entry.words, entry.attr)

    def _entry(self, request: Request, what: str, key: str | None, given: dict[str, Any]) -> Response:
        names = [row[0] for row in self._store.query("SELECT DISTINCT event FROM events")["data"]]
        if request.method == "PATCH" and key:
            changed = self._entries.change(what, key, given, names)
            return _json(changed) if changed else _refused(404, "invalid_request", "not_found", "Not found.")
        if request.method == "POST" and not key and what != "event_definitions":
            return _json(self._entries.create(what, given), 201)
        if request.method != "GET" or key:
            return _refused(405, "invalid_request", "method_not_allowed", f'Method "{request.method}" not allowed.')
        found = self._entries.listed(what, request.query_params.get("search", ""), names)
        limit, offset = (int(request.query_params.get(name, known)) for name, known in (("limit", 100), ("offset", 0)))
        more = offset + limit < len(found)
        following = str(request.url.include_query_params(offset=offset + limit)) if more else None
        return _json({"count": len(found), "next": following, "results": found[offset : offset + limit]})

    async def stats(self, request: Request) -> Response:
        rows, events = await self._in_thread(self._store.count)
        return _json(
            {
                "requests": sum(self._requests.values()),
                "requests_by_path": dict(self._requests),
                "events_received": self._counts["events_received"],
                "events_stored": self._counts["events_stored"],
                "misdirected": self._counts["misdirected"],
                "rows": rows,
                "rows_final": events,
            }
        )

    async def events(self, request: Request) -> Response:
        return _json(await self._in_thread(self._store.final))

    async def page(self, request: Request) -> Response:
        wanted = events_page.Filter.of(request.query_params)
        return _page(await self._in_thread(events_page.render, wanted, self._store.query))


class _OnlyNamed:
    """Refuses requests whose Host is no name of this machine.

    A page of a stranger may point its own name at 127.0.0.1 and then read what answers there (DNS rebinding); the
    browser still sends that name as Host.
    """

    def __init__(self, app: Any, host: str) -> None:
        self._app = app
        self._names = {"localhost", "127.0.0.1", "::1", host.lower()}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get("headers", ())).get(b"host", b"").decode("latin-1").lower()
        name = re.sub(r":\d*$", "", given).strip("[]")
        if scope["type"] == "http" and name not in self._names:
            words = f"Host {name[:200]!r} is no name of this machine; the sandbox answers to {sorted(self._names)}\n"
            await PlainTextResponse(words, 421)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _milliseconds(value: str | None) -> str | None:
    """Return posthog-js's `_` parameter, its clock in ms, as an ISO 8601 time."""
    if not value or not value.isdigit():
        return None
    return datetime.fromtimestamp(int(value) / 1000, UTC).isoformat()


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _refused(status: int, kind: str, code: str, words: str, attr: str | None = None) -> Response:
    return _json({"type": kind, "code": code, "detail": words, "attr": attr}, status)


async def _alive(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _to_page(request: Request) -> Response:
    return _page(events_page.explorer())


def _page(text: str) -> Response:
    # Names of events and persons stand in addresses: no other server is to see them.
    return HTMLResponse(text, headers={"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})


def _clear_away() -> None:
    """Delete the folders of sandboxes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob("posthog-sandbox-*"):
        owner = re.fullmatch(r"posthog-sandbox-(\d+)-\w+", folder.name)
        try:
            if owner:
                os.kill(int(owner[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            # It is alive, and another user's.
            continue


def serve(
    port: int = 8010,
    data: Path | None = None,
    project_key: str | None = None,
    host: str = "127.0.0.1",
    v1: str = "on",
    most_rows: int = HIGHEST_LIMIT,
) -> int:
    """Serve until interrupted; returns the exit code.

    Says in one sentence where the port is taken or embedded ClickHouse is not installed.
    """
    import socket

    try:
        import chdb  # noqa: F401
    except ImportError:
        print("the sandbox needs embedded ClickHouse: pip install 'posthog_assets[sandbox]'", file=sys.stderr)
        return 1
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # From here on connections wait instead of being refused, while ClickHouse starts.
        listener.listen(128)
    except OSError as error:
        print(f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port", file=sys.stderr)
        return 1
    _clear_away()
    with tempfile.TemporaryDirectory(prefix=f"posthog-sandbox-{os.getpid()}-") as temporary:
        store = EventStore(data or Path(temporary))
        app = _App(store, SandboxSettings(project_key, v1, most_rows))
        routes: Any = Starlette(routes=app.routes())
        # Who lets it listen on another address means other machines to reach it, by whatever name they have for it.
        asgi = _OnlyNamed(routes, host) if _is_loopback(host) else routes
        server = uvicorn.Server(uvicorn.Config(asgi, log_level="warning", access_log=False, lifespan="off"))
        print(f"PostHog sandbox on http://{host}:{listener.getsockname()[1]} (project {PROJECT_ID})", flush=True)
        # uvicorn ends in order and then raises the signal again, which would end the process before its folder is gone.
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        finally:
            store.close()
    return 0
