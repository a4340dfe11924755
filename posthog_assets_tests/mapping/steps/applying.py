"""One step applied to one event, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from posthog_assets.mapping.steps import Event, load_step

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Given:
    """Files a test has in its hands."""

    def __init__(self, files: dict[str, bytes] | None = None, places: Mapping[str, Any] | None = None) -> None:
        self._files, self._places = files or {}, places or {}

    def read(self, path: str) -> bytes:
        return self._files[path]

    def ip_lookup(self, path: str) -> Callable[[str], Mapping[str, Any] | None]:
        return self._places[path]


def event(properties: dict[str, Any], name: str = "edit", at: datetime = NOON, **ids: Any) -> Event:
    return Event(name, ids.pop("distinct_id", "ann"), int(at.timestamp()) * 1_000_000, properties, **ids)


def after(step: dict[str, Any], given: Event, files: Given | None = None) -> Event:
    """Return *given* after *step*, as the import file has it."""
    load_step(step).ready(files or Given())(given)
    return given


def left(step: dict[str, Any], properties: dict[str, Any], files: Given | None = None) -> dict[str, Any]:
    """Return what *step* makes of the properties of an event."""
    return after(step, event(properties), files).properties
