"""Work that is done on other threads while its results are waited for, in order.

Belongs here: iterating ahead. Does not belong here: what is iterated over. Arrow computes, compresses and reads without
the interpreter's lock, so that threads are enough for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(items: Iterable[T], name: str) -> Iterator[T]:
    """Yield *items*, the next one being made on a thread called *name* while the last one is used."""
    source = iter(items)
    end = object()
    with ThreadPoolExecutor(1, name) as pool:
        coming: Future[T | object] = pool.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, source, end)
            yield item  # type: ignore[misc]


def applied(function: Callable[[T], R], items: Iterable[T], threads: int, name: str) -> Iterator[R]:
    """Yield *function* of each item, in order, with at most *threads* of them being computed at once; 1: right here."""
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads, name) as pool:
        under_way: deque[Future[R]] = deque()
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) >= threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
