"""How often Python looks for garbage while a command runs, and when it ends."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from posthog_assets.cli.garbage import garbage_looked_for_seldom


def test_after_a_command_garbage_is_looked_for_as_before_it() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), garbage_looked_for_seldom():
        assert gc.get_threshold()[0] == 50_000
        raise RuntimeError
    assert gc.get_threshold() == before


def test_when_the_process_ends_python_does_not_look_through_what_is_left() -> None:
    code = (
        "import atexit, gc\n"
        "from posthog_assets.cli.garbage import garbage_looked_for_seldom\n"
        # What is registered first is called last.
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000, len(gc.get_objects()) < 1000))\n"
        "with garbage_looked_for_seldom():\n"
        "    print(gc.get_freeze_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["0", "True", "True"]
