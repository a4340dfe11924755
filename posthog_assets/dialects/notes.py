"""What a dialect noticed about records that became events all the same, counted per batch of staged rows.

Belongs here: counts, and how they travel with a batch. Does not belong here: rejected records, which are rows with a
reason of their own, and what is shown of the counts (the assets).

The counts are JSON in the metadata of a batch's schema, so that they come along wherever the batch goes, a process of
its own included. No file keeps them: the file's schema is the sink's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
import pyarrow as pa

_KEY: Final = b"posthog_assets.notes"

#: So many different names are counted one by one: keys that are really values must not fill the memory.
MOST_NAMES: Final = 1_000

#: Stands for the names above that.
OTHER_NAMES: Final = "(other names)"


@dataclass
class Notes:
    """`fields_left_out`: path of a field that was not imported -> records with a value in it; `remarks`: sentence ->
    records it is true of.
    """

    fields_left_out: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fields_left_out or self.remarks)

    def leave_out(self, path: str, count: int = 1) -> None:
        """Count a field that was not imported."""
        _add(self.fields_left_out, path, count)

    def remark(self, sentence: str, count: int = 1) -> None:
        """Count a sentence."""
        _add(self.remarks, sentence, count)

    def add(self, others: Notes) -> None:
        """Add the counts of *others*."""
        for path, count in others.fields_left_out.items():
            self.leave_out(path, count)
        for sentence, count in others.remarks.items():
            self.remark(sentence, count)

    def on(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return *batch* with these notes; as it is where there are none."""
        if not self:
            return batch
        text = orjson.dumps([self.fields_left_out, self.remarks])
        return batch.replace_schema_metadata((batch.schema.metadata or {}) | {_KEY: text})


def notes_of(metadata: Mapping[bytes, bytes] | None) -> Notes:
    """Return the notes in the metadata of a batch."""
    text = (metadata or {}).get(_KEY)
    return Notes(*orjson.loads(text)) if text else Notes()


def _add(counts: dict[str, int], name: str, count: int) -> None:
    if name not in counts and len(counts) >= MOST_NAMES:
        name = OTHER_NAMES
    counts[name] = counts.get(name, 0) + count
