"""The settings that an export reads pages by.

Belongs here: what of a source `pages` and `sift` ask for. Does not belong here: what they mean in an import file
(`source`, `endpoint`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from posthog_assets.sources.rest.endpoint import Asking, Endpoint, ForEach
from posthog_assets.sources.rest.paginators import PaginatorSettings


class Rules(Protocol):
    """The settings of a source that pages are read by."""

    @property
    def base_url(self) -> str: ...
    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def for_each(self) -> ForEach | None: ...
    @property
    def order(self) -> str | None: ...
    @property
    def start_exclusive(self) -> bool: ...
    @property
    def end_inclusive(self) -> bool: ...
    @property
    def margin(self) -> timedelta: ...
    @property
    def outside(self) -> str: ...
    @property
    def max_rows_per_window(self) -> int | None: ...
    @property
    def zone(self) -> ZoneInfo: ...
    def paginator_of(self, asking: Asking) -> PaginatorSettings: ...
