"""Real records for tests of steps."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson


def first_edit(real_data: Callable[[str], Path]) -> dict[str, Any]:
    """Return the first edit of the Wikipedia sample, without who and when."""
    return edits(real_data, 1)[0]


def edits(real_data: Callable[[str], Path], count: int) -> list[dict[str, Any]]:
    with gzip.open(real_data("wikipedia-edits-2015-09-12.jsonl.gz")) as file:
        records = [orjson.loads(line) for line, _ in zip(file, range(count), strict=False)]
    return [{key: value for key, value in record.items() if key not in ("time", "user")} for record in records]


def github_events(real_data: Callable[[str], Path], count: int) -> list[dict[str, Any]]:
    with gzip.open(real_data("github-events-2021-07-21.jsonl.gz")) as file:
        return [orjson.loads(line) for line, _ in zip(file, range(count), strict=False)]


def segment_contexts(real_data: Callable[[str], Path]) -> list[dict[str, Any]]:
    lines = real_data("segment-spec.jsonl").read_bytes().splitlines()
    contexts = [orjson.loads(line).get("context") for line in lines if line.strip()]
    return [context for context in contexts if isinstance(context, dict)]
