"""A sandbox as a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthog_assets.sandbox import Sandbox

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
