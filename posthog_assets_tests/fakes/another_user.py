"""Another user of this machine, who tries what the first one's files do not let him do."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from posthog_assets.core.errors import PosthogAssetsError

_NOBODY: Final = 65534


def by_another_user(work: Callable[[Path], object], path: Path) -> str:
    """Return what went wrong for another user, nothing where all was well."""
    if os.getuid():
        pytest.skip("only root can be another user")
    context = multiprocessing.get_context("fork")
    outcome = context.SimpleQueue()
    process = context.Process(target=_as_nobody, args=(work, path, outcome))
    process.start()
    process.join()
    return str(outcome.get())


def _as_nobody(work: Callable[[Path], object], path: Path, outcome: multiprocessing.SimpleQueue[str]) -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    try:
        work(path)
        outcome.put("")
    except PosthogAssetsError as error:
        outcome.put(f"{type(error).__name__}: {error}")
    except OSError as error:
        outcome.put(repr(error))
