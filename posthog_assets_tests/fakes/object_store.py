"""An S3 server on this machine, and what goes wrong with one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3


@contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's S3 on a free port with an empty bucket `history`; yields its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        urllib3.request("POST", f"{url}/moto-api/reset")
        urllib3.request("PUT", f"{url}/history")
        yield url
    finally:
        server.stop()


def options(url: str) -> dict[str, Any]:
    """Return fsspec's options for the server at *url*."""
    return {"key": "testing", "secret": "testing", "client_kwargs": {"endpoint_url": url, "region_name": "us-east-1"}}


@contextmanager
def between(
    url: str,
    fault: Callable[[str, str], int | None] = lambda method, path: None,
    answered: Callable[[str, str, int], None] = lambda method, path, size: None,
) -> Iterator[str]:
    """Stand between a client and the server at *url*; *fault* gets method and path and may say another status.

    Status 0 closes the connection without an answer. *answered* gets method, path and bytes of each answer.
    """
    pool = urllib3.PoolManager(retries=False)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = fault(self.command, self.path)
            if status == 0:
                self.close_connection = True
                return
            if status:
                said = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
                self._reply(status, {"Content-Type": "application/xml"}, said)
                return
            answer = pool.request(self.command, url + self.path, body=body, headers=dict(self.headers), redirect=False)
            answered(self.command, self.path, len(answer.data))
            self._reply(answer.status, dict(answer.headers), answer.data)

        def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
