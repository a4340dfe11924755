"""One process at a time, on a store that has no locks.

Belongs here: a lease, an object that says who holds something and is renewed while it is held. Does not belong here:
what is held (`storage`).

Where the store has conditional writes (fsspec's mode `create`) only one of several processes gets a free lease. Of two
that take over the lease of a dead process, the later writer wins and the other one finds out, because it looks again
after a while. A lease is renewed four times before it counts as a dead process's, by clocks that may disagree by as
much as `SKEW`.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import orjson

from posthog_assets.storage.downloads import create, steadily

#: A lease that was not renewed for so long is a dead process's, seconds.
LIFE: Final = 60.0

#: Clocks of different machines may disagree by so much, seconds.
SKEW: Final = 15.0

#: After a take-over, how long until nobody else can be taking over too, seconds.
_SETTLE: Final = 2.0

#: Tests shorten it.
pause: Callable[[float], None] = time.sleep


class Held(Exception):
    """Somebody else holds it; the message says who."""


@contextmanager
def lease(files: Any, path: str) -> Iterator[None]:
    """Hold the object *path* of the fsspec file system *files* while the block runs.

    Waits for a lease that may be a dead process's until that is certain.

    Raises:
        Held: a living process holds it.
    """
    owner = uuid.uuid4().hex
    _acquire(files, path, owner)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(files, path, owner, ended), daemon=True, name="lease")
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        # Nobody else's, should this process have slept for longer than a lease lives.
        with suppress(Exception):
            if _read(files, path).get("owner") == owner:
                files.rm_file(path)


def _acquire(files: Any, path: str, owner: str) -> None:
    until = time.monotonic() + LIFE + SKEW
    seen: dict[str, Any] = {}
    while not _create(files, path, owner):
        found = _read(files, path)
        age = time.time() - float(found.get("renewed_at") or 0)
        if found and age > LIFE + SKEW:
            _take_over(files, path, owner)
            return
        # A lease that is renewed while we look is a living process's.
        renewed = seen.get("owner") == found.get("owner") and seen.get("renewed_at") != found.get("renewed_at")
        if found and ((seen and renewed) or time.monotonic() > until):
            raise Held(f"process {found.get('process')} on {found.get('host')}")
        seen = seen or found
        pause(1.0)


def _take_over(files: Any, path: str, owner: str) -> None:
    steadily(lambda: files.pipe_file(path, _content(owner)))
    pause(_SETTLE)
    found = _read(files, path)
    if found.get("owner") != owner:
        raise Held(f"process {found.get('process')} on {found.get('host')}")


def _create(files: Any, path: str, owner: str) -> bool:
    """Write the lease where there is none; returns whether it is ours."""
    if _read(files, path):
        return False
    made = create(files, path, _content(owner))
    if made is False:
        # An answer that was lost on its way may have been ours.
        return _read(files, path).get("owner") == owner
    if made is None:
        # A store without conditional writes: the later writer wins.
        _take_over(files, path, owner)
    return True


def _renew(files: Any, path: str, owner: str, ended: threading.Event) -> None:
    while not ended.wait(LIFE / 4):
        # A renewal that fails is tried again in time; a lease that was lost meanwhile is left to its new owner.
        with suppress(Exception):
            if _read(files, path).get("owner") == owner:
                files.pipe_file(path, _content(owner))


def _read(files: Any, path: str) -> dict[str, Any]:
    try:
        content = orjson.loads(steadily(lambda: files.cat_file(path)))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _content(owner: str) -> bytes:
    return orjson.dumps(
        {"owner": owner, "host": socket.gethostname(), "process": os.getpid(), "renewed_at": time.time()}
    )
