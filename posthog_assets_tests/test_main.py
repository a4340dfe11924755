"""`python -m posthog_assets` is the command line."""

from __future__ import annotations

import runpy
import sys

import pytest


def test_the_module_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["posthog_assets", "--nope"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("posthog_assets", run_name="__main__")
    assert (ended.value.code, "--nope" in capsys.readouterr().err) == (2, True)
