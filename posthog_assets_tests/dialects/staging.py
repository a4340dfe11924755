"""Staging a few records, with the JSON columns read back."""

from __future__ import annotations

import copy
import json
from typing import Any

from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects import load_dialect
from posthog_assets.dialects.notes import Notes, notes_of

JSON_COLUMNS = ("properties", "set", "set_once", "groups", "group_set")


def stage(dialect: dict[str, Any], *records: Any, untyped: bool = False) -> list[dict[str, Any]]:
    """Return the staged rows, the JSON in them as objects."""
    chunk = RecordChunk(range(1, len(records) + 1), [copy.deepcopy(record) for record in records], untyped)
    rows = load_dialect(dialect).stage(chunk, "part").to_pylist()
    for row in rows:
        row |= {name: json.loads(row[name]) for name in JSON_COLUMNS if row[name] is not None}
    return rows


def stage_one(dialect: dict[str, Any], record: Any, **options: Any) -> dict[str, Any]:
    (row,) = stage(dialect, record, **options)
    return row


def notes(dialect: dict[str, Any], *records: Any, untyped: bool = False) -> Notes:
    """Return what staging the records noticed of those that became events."""
    chunk = RecordChunk(range(1, len(records) + 1), [copy.deepcopy(record) for record in records], untyped)
    return notes_of(load_dialect(dialect).stage(chunk, "part").schema.metadata)


def reason(dialect: dict[str, Any], record: Any) -> str | None:
    return stage_one(dialect, record)["reject_reason"]
