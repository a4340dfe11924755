"""The process is ours only while a run of ours goes on."""

from __future__ import annotations

import csv
import gc
import io
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from posthog_assets.core.threads import WhileInUse
from posthog_assets.pipeline import hot_loop as loop
from posthog_assets.pipeline.hot_loop import hot_loop
from posthog_assets.sources.formats import Format, Framing
from posthog_assets.sources.formats.csv_rows import read_csv

IMPORT_EVERYTHING = """
import builtins, csv, gc, importlib, pkgutil, sys
import fastavro.read, pyarrow

def state():
    pool = pyarrow.default_memory_pool().backend_name
    return gc.isenabled(), csv.field_size_limit(), pool, sorted(fastavro.read.LOGICAL_READERS)

real = builtins.__import__

def as_on_windows(name, globals=None, *more):
    ours = (globals or {}).get("__name__", "").startswith("posthog_assets")
    if ours and name in ("fcntl", "grp", "pwd", "resource", "termios"):
        raise ImportError(f"{globals['__name__']} imports {name}, which only POSIX has")
    return real(name, globals, *more)

before = state()
builtins.__import__ = as_on_windows
import posthog_assets
for module in pkgutil.walk_packages(posthog_assets.__path__, "posthog_assets."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert state() == before, (before, state())
"""


@pytest.mark.end_to_end
def test_importing_any_module_leaves_the_process_as_it_was_and_needs_no_posix() -> None:
    pytest.importorskip("fastavro", reason="needs the extra posthog_assets[avro]")
    done = subprocess.run([sys.executable, "-c", IMPORT_EVERYTHING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def state() -> tuple[bool, str]:
    return gc.isenabled(), pa.default_memory_pool().backend_name


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_a_long_loop_freed_goes_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_LONG_SECONDS", -1.0)
    with hot_loop():
        before = resident_mb()
        held = [bytearray(b"x") * 100_000 for _ in range(500)]
        held.clear()
        # The next batch would have it.
        assert resident_mb() > before + 40
    assert resident_mb() < before + 10


#: Prints how many arenas there are once twelve threads have each allocated memory at the same time.
COUNT_ARENAS = """
import ctypes, re, sys, threading
from posthog_assets.pipeline.hot_loop import hot_loop

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.fopen.restype = ctypes.c_void_p
everyone = threading.Barrier(12)

def allocate():
    everyone.wait()
    libc.malloc(1_000)
    everyone.wait()

with hot_loop():
    threads = [threading.Thread(target=allocate) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
print(len(re.findall("<heap nr=", open(sys.argv[1]).read())))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas")
def test_threads_share_the_arenas_of_the_c_library(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COUNT_ARENAS, str(tmp_path / "malloc.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # A few threads of libraries may have made one each before.
    assert int(done.stdout) <= 5


def test_loops_that_overlap_share_the_change_and_the_last_undoes_it() -> None:
    before = state()
    first, second = hot_loop(), hot_loop()
    with first:
        second.__enter__()
        assert not gc.isenabled()
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert state() == before == (True, before[1])


def test_a_loop_that_fails_leaves_the_process_as_it_was() -> None:
    before = state()
    with pytest.raises(RuntimeError), hot_loop():
        raise RuntimeError
    assert state() == before


def test_long_values_of_csv_are_read_and_the_limit_is_as_before() -> None:
    before = csv.field_size_limit()
    assert before < 200_000
    text = f"id,note\n1,{'x' * 200_000}\n2,short\n".encode()
    chunks = read_csv(iter([text]), Framing(Format.CSV), "notes.csv", 1)
    assert len(next(chunks).records[0]["note"]) == 200_000  # type: ignore[index]
    assert csv.field_size_limit() > 200_000
    assert [chunk.records for chunk in chunks] == [[{"id": "2", "note": "short"}]]
    assert csv.field_size_limit() == before


def test_csv_that_is_not_read_to_its_end_leaves_the_limit_too() -> None:
    before = csv.field_size_limit()
    chunks = read_csv(iter([b"id\n1\n2\n3\n"]), Framing(Format.CSV), "notes.csv", 1)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert csv.field_size_limit() == before


def test_our_readers_of_avro_are_gone_after_reading() -> None:
    fastavro = pytest.importorskip("fastavro", reason="needs the extra posthog_assets[avro]")
    from fastavro.read import LOGICAL_READERS

    from posthog_assets.sources.formats.avro import read_avro

    schema: dict[str, Any] = {
        "type": "record", "name": "r",
        "fields": [{"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}}],
    }  # fmt: skip
    file = io.BytesIO()
    fastavro.writer(file, schema, [{"d": __import__("decimal").Decimal("1.50")}])
    before = dict(LOGICAL_READERS)
    (chunk,) = read_avro(iter([file.getvalue()]), "r.avro", 10)
    assert len(chunk.records) == 1
    assert before == LOGICAL_READERS


def test_a_change_is_made_again_after_it_was_undone() -> None:
    made: list[str] = []

    def change() -> Any:
        made.append("made")
        return lambda: made.append("undone")

    shared = WhileInUse(change)
    for _ in range(2):
        with shared, shared:
            pass
    assert made == ["made", "undone", "made", "undone"]
