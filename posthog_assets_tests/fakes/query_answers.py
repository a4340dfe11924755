"""A PostHog for the benchmark that holds nothing: queries are answered from known counts, the rest is passed on.

Belongs here: the one question `landed_events` asks of a day that is all there. Does not belong here: a PostHog to test
against (`posthog_assets.sandbox`).
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any


def _front(inner: str, counts: list[list[Any]], pipe: Any) -> None:
    """Answer `/api/` requests with *counts*; copy every other connection's bytes to and from *inner*."""
    host, _, port = inner.removeprefix("http://").partition(":")
    answer = json.dumps({"results": counts, "hogql": "LIMIT 50000"}).encode()
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 20):
                target.sendall(data)
        target.close()

    def serve(connection: socket.socket) -> None:
        if connection.recv(16, socket.MSG_PEEK).startswith(b"POST /api/"):
            _answer(connection, answer)
            return
        server = socket.create_connection((host, int(port)))
        threading.Thread(target=copy, args=(server, connection), daemon=True).start()
        copy(connection, server)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket, answer: bytes) -> None:
    data = bytearray()
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        body += connection.recv(1 << 16)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % len(answer) + answer)
    connection.close()


@contextmanager
def answering_queries(inner: str, counts: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Run a server before *inner* that says of each (UTC day, event) how many there are; yields its URL."""
    rows = [[day, event, count, count, day + event] for (day, event), count in sorted(counts.items())]
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_front, args=(inner, rows, sender), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}"
    finally:
        process.kill()
