"""Work that is done on other threads while its results are waited for, in order, and what threads share meanwhile.

Belongs here: iterating ahead, and changes of the process that last as long as somebody needs them. Does not belong
here: what is iterated over or changed. Arrow computes, compresses and reads without
the interpreter's lock, so that threads are enough for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Threads(ThreadPoolExecutor):
    """Threads for the `with` block of a generator, which end with it.

    Of a generator that is abandoned they end by themselves: it may be the garbage collector that closes it, in the
    middle of starting some other thread, where waiting for one never ends (CPython holds the lock that both need).
    """

    def __init__(self, count: int, name: str) -> None:
        super().__init__(count, name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(wait=kind is not GeneratorExit, cancel_futures=True)


class WhileInUse:
    """A change of the whole process that the first `with` block makes and the last one to end undoes.

    Blocks of several threads may overlap. The one of an abandoned generator ends when that is collected.
    """

    def __init__(self, change: Callable[[], Callable[[], object]]) -> None:
        """Prepare *change*, which makes it and returns what undoes it."""
        self._change = change
        self._undo: Callable[[], object] | None = None
        self._users = 0
        # The garbage collector may end a block while this thread is in here.
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._undo is None:
                self._undo = self._change()

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._undo is not None:
                undo, self._undo = self._undo, None
                undo()


def ahead(items: Iterable[T], name: str) -> Iterator[T]:
    """Yield *items*, the next one being made on a thread called *name* while the last one is used."""
    source = iter(items)
    end = object()
    with Threads(1, name) as pool:
        coming: Future[T | object] = pool.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, source, end)
            yield item  # type: ignore[misc]


def applied(function: Callable[[T], R], items: Iterable[T], threads: int, name: str) -> Iterator[R]:
    """Yield *function* of each item, in order, with at most *threads* of them being computed at once; 1: right here."""
    if threads == 1:
        yield from map(function, items)
        return
    with Threads(threads, name) as pool:
        under_way: deque[Future[R]] = deque()
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) >= threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
