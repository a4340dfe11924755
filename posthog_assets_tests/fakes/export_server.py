"""A stand-in for vendors' export APIs: real HTTP, which misbehaves by script.

Belongs here: the server, the faults of the wire, and what was asked. Does not belong here: any vendor's endpoints,
which subclass it in their own test module. It shares no code with the product.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it; `attempt` counts those of the same path and fields, from 1."""

    method: str
    path: str
    fields: dict[str, str]
    headers: dict[str, str]
    body: bytes
    attempt: int = 1


@dataclass(frozen=True)
class Reply:
    """What the server does. `status` None closes the connection without an answer.

    `half` sends half of the body and closes, `trickle` sends a byte each so many seconds, `delay` waits before
    anything.
    """

    status: int | None = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    half: bool = False
    trickle: float | None = None
    delay: float = 0.0

    def gzipped(self) -> Reply:
        """Return the reply as a server sends it to a client that accepts gzip."""
        return replace(self, body=gzip.compress(self.body), headers=self.headers | {"Content-Encoding": "gzip"})


#: A script gets what was asked and the reply the vendor would give; it returns that, or another one.
Script = Callable[[Asked, Reply], Reply]


class ExportServer:
    """Use as a context manager. Subclasses implement `reply`, which is the vendor when all is well."""

    def __init__(self, script: Script = lambda asked, reply: reply) -> None:
        self.script = script
        self.requests: list[Asked] = []
        self._attempts: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else each answer takes 40 ms: its head is sent, and its body waits for that to be acknowledged.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer._handle(self)

            def do_HEAD(self) -> None:
                outer._handle(self)

            def do_POST(self) -> None:
                outer._handle(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def reply(self, asked: Asked) -> Reply:
        """Return what the vendor answers."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        fields = dict(parse_qsl(parts.query, keep_blank_values=True))
        if handler.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            fields |= dict(parse_qsl(body.decode(), keep_blank_values=True))
        key = parts.path, tuple(sorted(fields.items()))
        with self._lock:
            self._attempts[key] = self._attempts.get(key, 0) + 1
            asked = Asked(handler.command, parts.path, fields, dict(handler.headers), body, self._attempts[key])
            self.requests.append(asked)
            reply = self.script(asked, self.reply(asked))
        time.sleep(reply.delay)
        handler.close_connection = reply.status is None or reply.half
        if reply.status is not None:
            self._send(handler, reply)

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        assert reply.status is not None
        handler.send_response(reply.status)
        for name, value in (reply.headers | {"Content-Length": str(len(reply.body))}).items():
            handler.send_header(name, value)
        handler.end_headers()
        body = reply.body[: len(reply.body) // 2] if reply.half else reply.body
        if handler.command == "HEAD":
            return
        try:
            if reply.trickle is None:
                handler.wfile.write(body)
            else:
                for at in range(len(body)):
                    handler.wfile.write(body[at : at + 1])
                    time.sleep(reply.trickle)
        except OSError:
            # The client has had enough.
            handler.close_connection = True
