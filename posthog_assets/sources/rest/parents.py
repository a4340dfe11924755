"""For whom the endpoint is asked: the members of `for_each`.

Belongs here: what a record of their list says of a parent. Does not belong here: asking for the list (`pages`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xxhash

from posthog_assets.core.errors import SourceRefused, shorten
from posthog_assets.sources.formats.json_paths import NOTHING, find
from posthog_assets.sources.rest.endpoint import ForEach


@dataclass(frozen=True, slots=True)
class Parent:
    """One of `for_each`: the placeholder's value, and what its records get of it."""

    value: str
    fields: Mapping[str, Any]

    @property
    def code(self) -> str:
        return xxhash.xxh3_64_hexdigest(self.value.encode())[:12]

    @classmethod
    def of_value(cls, each: ForEach, value: str) -> Parent:
        """Return one that the import file names itself."""
        return cls(value, {f"_{each.name}": value})

    @classmethod
    def of_record(cls, each: ForEach, record: Any, shown: str) -> Parent:
        """Return the parent that a record of the answer of *shown* is; raises SourceRefused where it has no value."""
        value = find(record, each.field)
        if value is NOTHING or value is None or isinstance(value, dict | list):
            raise SourceRefused(
                f"{shown}: a record has no value at source.for_each.field {each.field!r}: {shorten(record)}"
            )
        more = {f"_{each.name}_{field}": found for field in each.include
                if (found := find(record, field)) is not NOTHING}  # fmt: skip
        return cls(str(value), {f"_{each.name}": value, **more})
