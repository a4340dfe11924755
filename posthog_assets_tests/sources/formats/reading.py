"""Reading bytes in tests."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from posthog_assets.sources.formats import Framing, Unreadable, count_records, detect, read_records

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def shared(name: str) -> Path:
    """Return a file of real data; skips the test where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs the real data {name}, which is not on this machine")
    return path


def read(
    data: bytes, name: str, framing: Framing | None = None, rows: int = 20_000
) -> list[dict[str, Any] | Unreadable]:
    """Return all records, having checked that counting finds as many."""
    framing = framing or detect(name)
    records = [record for chunk in read_records(io.BytesIO(data), framing, name, rows) for record in chunk.records]
    assert count_records(io.BytesIO(data), framing, name) == len(records)
    return records


def positions(data: bytes, name: str, rows: int = 20_000) -> list[int]:
    return [place for chunk in read_records(io.BytesIO(data), detect(name), name, rows) for place in chunk.positions]


def zipped(data: bytes, name: str = "inside") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    """Return a zip of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return file.getvalue()


#: Suffix -> compressor.
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".zip": zipped,
}
