"""Exporting files in tests."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from posthog_assets.sources import Files, RawExport
from posthog_assets.storage.store import Store

DAY = date(2015, 9, 12)


def files(**settings: Any) -> Files:
    return Files.model_validate(settings)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def export(source: Files, store: Store, day: date = DAY) -> RawExport:
    raw = RawExport(store, day)
    source.export(day, raw, date(2015, 1, 1))
    return RawExport(store, day)
