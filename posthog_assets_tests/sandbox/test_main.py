"""`python -m posthog_assets.sandbox`: what it takes, and how it ends where it cannot serve."""

from __future__ import annotations

import runpy
import sys

import pytest


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["sandbox", *arguments])
    with pytest.raises(SystemExit) as found:
        runpy.run_module("posthog_assets.sandbox", run_name="__main__")
    return found.value.code


def test_a_protocol_that_there_is_not_is_refused_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "--v1", "sometimes") == 2
    words = capsys.readouterr().err
    assert all(choice in words for choice in ("sometimes", "on", "unconfigured", "absent"))
