"""How fast pages of an API are pinned: a server that answers at once, against `source: rest`.

    python -m posthog_assets_tests.benchmarks.rest_pages [rows] [rows a page] [bytes a row]

Prints rows a second of the export, and of staging what it pinned, with the processor time of both and the growth of
this process's memory.
"""

from __future__ import annotations

import json
import resource
import socketserver
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day

DAY, START = date(2024, 3, 1), 1709251200


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Answers `GET /?place=n` with page n, made before."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, rows: int, size: int, width: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        filler = "x" * (width - 70)
        self.pages = []
        for start in range(0, rows, size):
            members = [
                {"id": f"r{n}", "at": START + n * 86_400 // rows, "user": f"u{n % 999}", "note": filler}
                for n in range(start, min(start + size, rows))
            ]
            body = json.dumps({"data": members, "next": start + size if start + size < rows else None}).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.pages.append(head + body)
        self.size = size


class Handler(socketserver.StreamRequestHandler):
    """Reads a request's head, and sends the page."""

    server: Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            fields = dict(parse_qsl(urlsplit(line.split()[1].decode()).query))
            self.wfile.write(self.server.pages[int(fields.get("place", 0)) // self.server.size])


def source(url: str) -> dict[str, object]:
    return {
        "type": "rest",
        "client": {"base_url": url, "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "place"}},
        "endpoint": {
            "data_selector": "data", "primary_key": "id",
            "incremental": {"cursor_path": "at", "start_param": "from", "end_param": "to", "format": "epoch_seconds"},
        },
    }  # fmt: skip


def main(rows: int = 100_000, size: int = 100, width: int = 500) -> None:
    command = [sys.executable, "-m", __spec__.name, "serve", str(rows), str(size), str(width)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        imp = Import.read(
            {
                "name": "pages", "start_date": DAY, "storage": folder, "source": source(url),
                "dialect": {"type": "columns", "event": {"value": "e"}, "user_id": {"column": "user"},
                            "timestamp": {"column": "at"}, "source_id": {"column": "id"}},
            }
        )  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, step in (("export", export_day), ("stage", stage_day)):
            began, spent = time.monotonic(), time.process_time()
            step(imp, DAY)
            took = time.monotonic() - began
            each = 1e6 * (time.process_time() - spent) / rows
            print(f"{name}: {rows / took:,.0f} rows/s, {each:.0f} µs of processor a row")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        stored = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6
        print(f"{stored:,.0f} MB stored; memory grew by {grown:,.0f} MB")
        server.terminate()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        with Server(*map(int, sys.argv[2:])) as serving:
            print(f"http://127.0.0.1:{serving.server_address[1]}", flush=True)
            serving.serve_forever()
    else:
        main(*map(int, sys.argv[1:]))
