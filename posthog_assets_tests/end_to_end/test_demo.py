"""The command of the README, as a newcomer runs it - twice."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from posthog_assets.cli.demo import run_demo
from posthog_assets.sandbox import Sandbox
from posthog_assets.sandbox.process import SandboxFailed


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


def test_a_demo_without_its_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(sandbox: Sandbox) -> Sandbox:
        raise SandboxFailed("the sandbox needs embedded ClickHouse: pip install 'posthog_assets[demo]'")

    monkeypatch.setenv("POSTHOG_ASSETS_STORAGE", str(tmp_path))
    monkeypatch.setattr(Sandbox, "__enter__", start)
    assert run_demo(1, 8010) == 1
    assert "pip install 'posthog_assets[demo]'" in capsys.readouterr().out


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
