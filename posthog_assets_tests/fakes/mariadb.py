"""A MariaDB of the tests' own: a real server in a temporary folder, on a free port.

Belongs here: starting, asking, stopping. Does not belong here: what is asked. It shares no code with the product.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pytest


class MariaDB:
    """Use as a context manager; `url` is that of a user who may do anything in the database `shop`."""

    password = "p@ss/w:rd"

    def __enter__(self) -> Self:
        programs = [shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in
                    ("mariadbd", "mariadb-install-db", "mariadb-tzinfo-to-sql")]  # fmt: skip
        if None in programs:
            words = "needs MariaDB's server programs (Debian's package mariadb-server)"
            if os.environ.get("CI") == "true":
                pytest.fail(words)
            pytest.skip(words)
        server, install, zones = map(str, programs)
        # Short, because the path of a Unix socket may not be long.
        self._folder = Path(tempfile.mkdtemp(prefix="my-", dir="/tmp"))
        # The server refuses to run as root.
        self._prefix = ["runuser", "-u", "mysql", "--"] if os.geteuid() == 0 else []
        if self._prefix:
            shutil.chown(self._folder, "mysql")
        options = ["--no-defaults", f"--datadir={self._folder}/data"]
        subprocess.run(
            [*self._prefix, install, *options, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options += [f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._folder}/socket",
                    "--default-time-zone=-05:00", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M",
                    "--character-set-server=utf8mb4"]  # fmt: skip
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen([*self._prefix, server, *options], stdout=log, stderr=log, cwd="/")
        berlin = subprocess.run(
            [zones, "/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"], check=True, capture_output=True, text=True
        ).stdout
        self._wait()
        self.run(
            "CREATE DATABASE shop",
            f"CREATE USER test@127.0.0.1 IDENTIFIED BY '{self.password}'",
            "GRANT ALL ON shop.* TO test@127.0.0.1",
            "USE mysql",
            *(statement for statement in berlin.split(";\n") if statement.strip()),
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"mysql://test:p%40ss%2Fw%3Ard@127.0.0.1:{self.port}/shop"

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as root; returns the rows of the last one."""
        import pymysql

        rows: list[tuple[Any, ...]] = []
        connection = pymysql.connect(unix_socket=f"{self._folder}/socket", user="root", autocommit=True)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def _wait(self) -> None:
        import pymysql

        until = time.monotonic() + 60
        while True:
            try:
                self.run("SELECT 1")
            except pymysql.err.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    pytest.fail((self._folder / "log").read_text()[-2000:])
                time.sleep(0.1)
            else:
                return
