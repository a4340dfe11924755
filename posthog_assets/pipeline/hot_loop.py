"""What makes a loop over millions of rows cheap.

Belongs here: settings of the process while such a loop runs. Does not belong here: any loop.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pyarrow as pa

from posthog_assets.core.threads import WhileInUse

#: What `mallopt` calls them, M_TRIM_THRESHOLD and M_MMAP_THRESHOLD: 64 and 32 MB; and what is left of that after the
#: loop. glibc begins with 128 kB and moves them by itself, but not once they were set: a block of 256 kB would be taken
#: from the system each time then, which makes counting the lines of a day three times as dear.
_KEPT_LIMITS: Final = {-1: 64 << 20, -3: 32 << 20}
_LATER_LIMITS: Final = {-1: 8 << 20, -3: 4 << 20}

#: M_ARENA_MAX. With glibc's eight for each core every thread has one of its own and keeps in it what it freed, and the
#: next step's threads get others: the same day run again took some 20 MB more each time. It stays as it is set here.
_FEW_ARENAS: Final = {-8: 2}

#: Milliseconds until jemalloc gives freed memory back; Arrow's own second is less than a batch takes to come round.
_KEPT_MS: Final = 3_000
_ARROWS_MS: Final = 1_000


#: Shorter loops have not freed much, and giving it back takes some milliseconds.
_LONG_SECONDS: Final = 1.0


def _limit(limits: dict[int, int]) -> None:
    with suppress(AttributeError, OSError):
        for option, size in limits.items():
            ctypes.CDLL(None).mallopt(option, size)


def _give_back(jemalloc: pa.MemoryPool | None) -> None:
    """Return to the system what was freed, and kept for the next batch: the next step may be one of other sizes."""
    if jemalloc is not None:
        jemalloc.release_unused()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _make_cheap() -> Callable[[], None]:
    """Change the process, and return what changes it back."""
    began = time.monotonic()
    was_on, pool, has_jemalloc = gc.isenabled(), pa.default_memory_pool(), _JEMALLOC in pa.supported_memory_backends()
    _limit(_FEW_ARENAS)
    # glibc would give memory back to the system and take it again with every batch.
    _limit(_KEPT_LIMITS)
    gc.disable()
    if has_jemalloc:
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(_KEPT_MS)

    def undo() -> None:
        # glibc does not say what its limits were, and cannot be asked to move them by itself again.
        _limit(_LATER_LIMITS)
        pa.set_memory_pool(pool)
        if has_jemalloc:
            pa.jemalloc_set_decay_ms(_ARROWS_MS)
        if was_on:
            gc.enable()
        if time.monotonic() - began > _LONG_SECONDS:
            _give_back(pa.jemalloc_memory_pool() if has_jemalloc else None)

    return undo


_JEMALLOC: Final = "jemalloc"
_CHEAP: Final = WhileInUse(_make_cheap)


@contextmanager
def hot_loop() -> Iterator[None]:
    """Make a loop over millions of rows cheap while the block runs; the process is as before when the last one ends.

    The cyclic garbage collector is kept out: the loop makes millions of small dicts, none of them cyclic. Arrow's
    memory comes from jemalloc where there is one: mimalloc keeps what was freed, half as much again. It and the C
    library keep the memory of one batch for the next.
    """
    with _CHEAP:
        yield
