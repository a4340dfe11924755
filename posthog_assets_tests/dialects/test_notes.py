"""What is counted of records that became events all the same."""

from __future__ import annotations

import pyarrow as pa

from posthog_assets.dialects.notes import MOST_NAMES, OTHER_NAMES, Notes, notes_of
from posthog_assets_tests.dialects.staging import notes


def test_only_so_many_names_are_kept_apart() -> None:
    found = Notes()
    for number in range(MOST_NAMES + 5):
        found.leave_out(f"key-{number}")
    found.leave_out("key-0")
    assert len(found.fields_left_out) == MOST_NAMES + 1
    assert (found.fields_left_out["key-0"], found.fields_left_out[OTHER_NAMES]) == (2, 5)


def test_a_batch_without_notes_is_the_schema_and_nothing_else() -> None:
    assert not notes({"type": "heap"}, {"event_id": 1})
    assert notes_of(None) == Notes()


def test_counts_of_several_batches_add_up() -> None:
    total = Notes({"a": 1}, {"odd": 2})
    total.add(Notes({"a": 3, "b": 1}, {"odd": 1}))
    assert total == Notes({"a": 4, "b": 1}, {"odd": 3})


def test_notes_travel_with_a_batch_beside_what_its_schema_says_already() -> None:
    batch = pa.RecordBatch.from_pydict({"n": [1]}).replace_schema_metadata({"own": "kept"})
    noted = Notes({"path": 2}, {"odd": 1}).on(batch)
    assert noted.schema.metadata[b"own"] == b"kept"
    assert notes_of(noted.schema.metadata) == Notes({"path": 2}, {"odd": 1})
