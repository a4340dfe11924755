"""A sandbox as a child process, for the demo and for tests.

Belongs here: starting, asking, stopping. Does not belong here: anything the server does.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import urllib3

from posthog_assets.core.errors import PosthogAssetsError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SandboxFailed(PosthogAssetsError):
    """The sandbox did not start, or refused a question."""


class Sandbox:
    """A running sandbox; *data* None keeps the events only as long as it runs, *port* 0 takes a free one.

    *project_key*, *v1* and *most_rows* are as in `server.SandboxSettings`.
    """

    project_api_key = "phc_sandbox"
    personal_api_key = "phx_sandbox"
    project_id = "1"

    def __init__(
        self,
        data: Path | None = None,
        port: int = 0,
        project_key: str | None = None,
        v1: str = "on",
        most_rows: int | None = None,
    ) -> None:
        self._command = [sys.executable, "-m", "posthog_assets.sandbox", "--port", str(port), "--v1", v1]
        self._command += ["--data", str(data)] if data else []
        self._command += ["--project-key", project_key] if project_key else []
        self._command += ["--most-rows", str(most_rows)] if most_rows else []
        self._pool = urllib3.PoolManager()
        self.url = ""

    @classmethod
    def running(cls, port: int) -> Sandbox | None:
        """Return the sandbox that listens on *port* of this machine already; None where there is none.

        It is asked like one of one's own, and is not stopped.
        """
        found = cls(port=port)
        found.url = f"http://127.0.0.1:{port}"
        found._pool = urllib3.PoolManager(retries=False, timeout=2)
        try:
            stats = found.stats()
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return None
        return found if isinstance(stats, dict) and "requests_by_path" in stats else None

    def __enter__(self) -> Sandbox:
        """Start, and wait until it answers.

        Raises:
            SandboxFailed: it ended instead; the message is its own.
        """
        # In a session of its own, so that Ctrl-C reaches only the one who can stop it in order.
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout and self._process.stderr
        line = self._process.stdout.readline()
        if not line.startswith("PostHog sandbox on "):
            self._process.wait(30)
            words = self._process.stderr.read().strip().splitlines()
            self._close()
            raise SandboxFailed(f"the sandbox did not start: {words[-1] if words else 'no reason given'}")
        self.url = line.split()[3]
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()
        self._get("/_readiness")
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()
        self._pool.clear()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def query(self, hogql: str) -> list[list[Any]]:
        """Return the rows of a HogQL query, asked over HTTP."""
        response = self._pool.request(
            "POST",
            f"{self.url}/api/projects/{self.project_id}/query/",
            json={"query": {"kind": "HogQLQuery", "query": hogql}},
            headers={"Authorization": f"Bearer {self.personal_api_key}"},
        )
        if response.status != 200:
            raise SandboxFailed(f"HTTP {response.status}: {response.data[:500].decode()}")
        return orjson.loads(response.data)["results"]

    def stats(self) -> dict[str, Any]:
        """Return how many requests and events it got, and what its table holds."""
        return orjson.loads(self._get("/sandbox/stats"))

    def events(self) -> list[tuple[str, str, str, datetime, dict[str, Any]]]:
        """Return (uuid, event, distinct_id, timestamp in UTC, properties) of every event, de-duplicated."""
        return [
            (uuid, event, distinct_id, _EPOCH + timedelta(microseconds=int(stamp)), orjson.loads(properties))
            for uuid, event, distinct_id, stamp, properties in orjson.loads(self._get("/sandbox/events"))
        ]

    def _get(self, path: str) -> bytes:
        return self._pool.request("GET", self.url + path).data
