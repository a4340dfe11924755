"""A sandbox as a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthog_assets.sandbox import Sandbox
from posthog_assets_tests.fakes.capture_server import CaptureServer

pytest.importorskip("chdb", reason="needs the extra posthog_assets[sandbox]")


def test_a_killed_sandbox_leaves_nothing_once_another_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Sandbox() as killed:
        assert len(list(tmp_path.glob("posthog-sandbox-*"))) == 1
        killed.kill()
        with Sandbox():
            assert len(list(tmp_path.glob("posthog-sandbox-*"))) == 1
    assert list(tmp_path.glob("posthog-sandbox-*")) == []


def test_a_sandbox_that_runs_already_is_found_by_its_port_and_not_stopped(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rsplit(":", 1)[1])
    found = Sandbox.running(port)
    assert found is not None
    assert (found.url, found.stats()["rows"]) == (sandbox.url, 0)


def test_no_sandbox_is_found_where_nothing_or_something_else_listens() -> None:
    assert Sandbox.running(9) is None
    with CaptureServer() as other:
        assert Sandbox.running(int(other.url.rsplit(":", 1)[1])) is None
