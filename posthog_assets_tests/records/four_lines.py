"""One day of four records, for the tests of single steps: a good one, one without a time, an early one, a bad id."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.export import export_day
from posthog_assets_tests.conftest import small_import

DAY = date(2024, 3, 1)

_LINES = [
    '{"id":"1","user":"ann","at":"2024-03-01T10:00:00Z","what":"page"}',
    '{"id":"2","user":"ann","at":"not a time","what":"page"}',
    '{"id":"3","user":"bob","at":"2022-03-01T10:00:00Z","what":"page"}',
    '{"id":"4","user":"null","at":"2024-03-01T11:00:00Z","what":"page"}',
]


def exported(tmp_path: Path, **changes: Any) -> Import:
    """Export the day; returns its import."""
    (tmp_path / "exports").mkdir()
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(_LINES) + "\n")
    imp = small_import(tmp_path, **changes)
    export_day(imp, DAY)
    return imp
