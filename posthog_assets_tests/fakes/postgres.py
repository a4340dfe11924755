"""A PostgreSQL of the tests' own: a real server in a temporary folder, on a free port.

Belongs here: starting, asking, stopping. Does not belong here: what is asked. It shares no code with the product.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import pytest

_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


def _programs() -> Path | None:
    """Return the folder of initdb and pg_ctl, the newest version's."""
    found = [path.parent for pattern in _FOLDERS for path in Path("/").glob(f"{pattern[1:]}/initdb")]
    on_path = shutil.which("initdb")
    return max(found, default=Path(on_path).parent if on_path else None)  # type: ignore[type-var]


class Postgres:
    """Use as a context manager; `url` is the superuser's."""

    password = "p@ss/w:rd"

    def __enter__(self) -> Self:
        programs = _programs()
        if programs is None:
            words = "needs PostgreSQL's server programs (Debian's package postgresql)"
            if os.environ.get("CI") == "true":
                pytest.fail(words)
            pytest.skip(words)
        self._programs = programs
        # Short, because the path of a Unix socket may not be long.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
        (self._folder / "password").write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(self._folder / "password", "postgres")
        options = "-U test -E UTF8 --locale=C -A scram-sha-256 --no-sync"
        self._run("initdb", "-D", f"{self._folder}/data", "--pwfile", f"{self._folder}/password", *options.split())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder} -c fsync=off -c timezone=America/New_York"
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-l", f"{self._folder}/log", "-w", "-o", options, "start")
        return self

    def __exit__(self, *exc: object) -> None:
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"postgresql://test:p%40ss%2Fw%3Ard@127.0.0.1:{self.port}/postgres"

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements; returns the rows of the last one."""
        import psycopg

        rows: list[tuple[Any, ...]] = []
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # type: ignore[call-overload]
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def _run(self, program: str, *arguments: str) -> None:
        # The server refuses to run as root.
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        # Its output goes to a file: the server would keep a pipe open.
        with (self._folder / "output").open("wb") as output:
            done = subprocess.run([*prefix, str(self._programs / program), *arguments], stdout=output, stderr=output,
                                  cwd="/")  # fmt: skip
        assert done.returncode == 0, (self._folder / "output").read_text()
