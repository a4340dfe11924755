"""The process is ours only while a run of ours goes on."""

from __future__ import annotations

import csv
import gc
import io
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
