"""What makes a loop over millions of rows cheap.

Belongs here: settings of the process while such a loop runs. Does not belong here: any loop.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pyarrow as pa

#: What `mallopt` calls them: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD.
_KEPT_LIMITS: Final = ((-1, 64 << 20), (-3, 32 << 20))

#: Milliseconds until jemalloc gives freed memory back; Arrow's own second is less than a batch takes to come round.
_KEPT_MS: Final = 3_000


def _keep_memory() -> None:
    """Have glibc keep 64 MB: it would give them back to the system and take them again with every batch."""
    with suppress(AttributeError, OSError):
        for option, size in _KEPT_LIMITS:
            ctypes.CDLL(None).mallopt(option, size)


@contextmanager
def hot_loop() -> Iterator[None]:
    """Make a loop over millions of rows cheap while the block runs.

    The cyclic garbage collector is kept out: the loop makes millions of small dicts, none of them cyclic. Arrow's
    memory comes from jemalloc where there is one: mimalloc keeps what was freed, half as much again. It and the C
    library keep the memory of one batch for the next.
    """
    _keep_memory()
    was_on, pool = gc.isenabled(), pa.default_memory_pool()
    gc.disable()
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(_KEPT_MS)
    try:
        yield
    finally:
        pa.set_memory_pool(pool)
        if was_on:
            gc.enable()
