"""How often Python looks for garbage while a command runs."""

from __future__ import annotations

import gc

import pytest

from posthog_assets.cli.garbage import garbage_looked_for_seldom


def test_after_a_command_garbage_is_looked_for_as_before_it() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), garbage_looked_for_seldom():
        assert gc.get_threshold()[0] == 50_000
        raise RuntimeError
    assert gc.get_threshold() == before
