"""Peak memory of a process together with all that it starts.

Belongs here: looking at processes from outside. Does not belong here: what they do.

A page that several processes share counts once: each is charged with its share of it (PSS, Linux only).
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final

#: Seconds between two looks. Of the process itself the kernel keeps the peak; of all together only looks tell.
_PAUSE: Final = 0.05


class PeakOfAll:
    """Looks at a process and its descendants while the block runs; `mb` is the most they took together so far."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.mb = 0.0
        #: Most processes at a time.
        self.processes = 0

    def __enter__(self) -> PeakOfAll:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            family = [self._pid, *_descendants(self._pid)]
            shares = [share for pid in family if (share := _share(pid))]
            self.processes = max(self.processes, len(shares))
            self.mb = max(self.mb, sum(shares) / 1e6)
            time.sleep(_PAUSE)


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _share(pid: int) -> int:
    """Return the bytes that a process is charged with; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
