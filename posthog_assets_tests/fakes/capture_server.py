"""A small capture server that remembers what it took and misbehaves by script.

Belongs here: the misbehaviour and the oracle of the delivery tests. It shares no code with the product.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Asked:
    """One request as the server saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes

    @property
    def uuids(self) -> list[str]:
        return [event["uuid"] for event in self.body.get("batch", [])]


@dataclass
class Reply:
    """What to do with a request. `status` None closes the connection; `take` says which events count as stored."""

    status: int | None = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    take: bool = True
    verdicts: Mapping[str, dict[str, str] | None] = field(default_factory=dict)
    delay: float = 0.0


class CaptureServer:
    """Use as a context manager; *script* gets each request and says how to reply (None: as PostHog does)."""

    def __init__(self, script: Callable[[Asked], Reply | None] = lambda asked: None) -> None:
        self.script = script
        self.requests: list[Asked] = []
        self.stored: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes: without this the second one waits for the first to be acknowledged.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                outer._answer(self)

            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def uuids(self) -> list[str]:
        return [event["uuid"] for event in self.stored]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        plain = gzip.decompress(raw) if handler.headers.get("Content-Encoding") == "gzip" else raw
        asked = Asked(handler.path, dict(handler.headers), json.loads(plain or b"{}"), raw)
        with self._lock:
            self.requests.append(asked)
            reply = self.script(asked) or Reply()
            results = {uuid: reply.verdicts.get(uuid, {"result": "ok"}) for uuid in asked.uuids}
            if reply.take and (reply.status is None or reply.status < 300):
                taken = {u for u, verdict in results.items() if verdict and verdict["result"] in ("ok", "warning")}
                self.stored += [event for event in asked.body.get("batch", []) if event["uuid"] in taken]
        time.sleep(reply.delay)
        if reply.status is None:
            handler.close_connection = True
            return
        body = reply.body
        if body is None and reply.status < 300:
            v1 = {"results": {uuid: verdict for uuid, verdict in results.items() if verdict}}
            body = json.dumps(v1 if asked.path.startswith("/i/v1") else {"status": "Ok"}).encode()
        body = body or b""
        handler.send_response(reply.status)
        for name, value in (reply.headers | {"Content-Length": str(len(body))}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
