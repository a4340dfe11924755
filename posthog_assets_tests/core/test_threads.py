"""Work ahead on other threads."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.core.threads import ahead, applied
from posthog_assets.mapping.sorting import Sorter
from posthog_assets.sources.formats.compression import blocks


def slower_first(number: int) -> int:
    time.sleep(0.02 * (5 - number))
    return number


def test_items_come_in_their_order() -> None:
    assert list(ahead(range(5), "test")) == [0, 1, 2, 3, 4]
    assert list(applied(slower_first, range(5), 3, "test")) == [0, 1, 2, 3, 4]
    assert list(applied(str, range(3), 1, "test")) == ["0", "1", "2"]


def test_what_is_applied_is_applied_at_once() -> None:
    meeting = threading.Barrier(2, timeout=10)
    assert len(list(applied(lambda _: meeting.wait(), range(4), 2, "test"))) == 4


def test_an_error_is_raised_where_its_item_would_be() -> None:
    def odd(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    for items in (applied(odd, range(5), 2, "test"), ahead(map(odd, range(5)), "test")):
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(ValueError, match="two"):
            next(items)


def _sorting(folder: Path) -> Iterator[int]:
    with Sorter(folder, POSTHOG_EVENTS) as sorter:
        sorter._writer.submit(int).result()
        yield 1
        yield 2


@pytest.mark.parametrize(
    "start",
    [
        lambda folder: ahead(range(10), "test"),
        lambda folder: applied(str, range(10), 2, "test"),
        lambda folder: blocks(io.BytesIO(b"x" * 100), "a", 10),
        _sorting,
    ],
    ids=["ahead", "applied", "blocks", "sorter"],
)
def test_whoever_is_abandoned_waits_for_no_thread(start: Callable[[Path], Any], tmp_path: Path) -> None:
    # The garbage collector may close it while a thread is being started. In CPython up to 3.12 that holds this lock,
    # which whoever waits for the end of a thread needs too.
    lock = getattr(threading, "_shutdown_locks_lock", None) or threading.Lock()
    items = start(tmp_path)
    next(items)
    closing = threading.Thread(target=items.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()

    items = start(tmp_path)
    next(items)
    held = threading.Thread(target=_close_with, args=(lock, items), daemon=True)
    held.start()
    held.join(10)
    stuck = held.is_alive()
    if stuck:
        lock.release()
    assert not stuck


def _close_with(lock: threading.Lock, items: Any) -> None:
    with lock:
        items.close()
