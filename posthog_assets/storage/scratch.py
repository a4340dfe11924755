"""Working folders on this machine's disk, named so that one whose process was killed is told from one in use.

Belongs here: their names. Does not belong here: deleting those that are left over (`leftovers`).
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"posthog-assets-(\d+)-.+")


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a new folder that goes with the object that is returned, or with its `with` block."""
    return tempfile.TemporaryDirectory(prefix=f"posthog-assets-{os.getpid()}-")


def process_of(folder: Path) -> int | None:
    """Return the process that made a working folder, None where it is none."""
    found = _NAME.fullmatch(folder.name)
    return int(found[1]) if found else None
