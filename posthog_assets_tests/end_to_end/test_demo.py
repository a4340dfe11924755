"""The command of the README, as a newcomer runs it - twice."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from posthog_assets.sandbox import Sandbox


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def demo(folder: Path, port: int) -> str:
    code = "from posthog_assets.cli import main; main()"
    environment = {k: v for k, v in os.environ.items() if k not in ("DAGSTER_HOME", "POSTHOG_ASSETS_STORAGE")}
    result = subprocess.run(
        [sys.executable, "-c", code, "demo", "--days", "2", "--port", str(port)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=180,
        env=environment | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_demo_beside_a_sandbox_that_runs_uses_it(tmp_path: Path, sandbox: Sandbox) -> None:
    shown = demo(tmp_path, int(sandbox.url.rsplit(":", 1)[1]))
    assert f"Using the sandbox that runs on {sandbox.url}" in shown
    assert sandbox.stats()["rows_final"] == 1_627


def test_running_the_demo_again_sends_nothing(tmp_path: Path) -> None:
    pytest.importorskip("chdb", reason="needs the extra posthog_assets[demo]")
    port = free_port()
    first = demo(tmp_path, port)
    # raw, staged, rejected, sent, acknowledged, landed, duplicates: 3 flights of the first day never left.
    assert re.search(r"2013-01-01 +709 +709 +3 +706 +706 +706 +0\b", first)
    assert re.search(r"2013-01-02 +930 +930 +9 +921 +921 +921 +0\b", first)
    assert "1,627 events sent in 2 requests" in first
    second = demo(tmp_path, port)
    assert re.search(r"2013-01-01 +709 +709 +3 +0 +706 +706 +0\b", second)
    assert "Nothing was sent" in second
