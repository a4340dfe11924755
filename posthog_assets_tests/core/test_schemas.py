"""The columns that files of earlier releases hold: none may change its name, place or type by accident."""

from __future__ import annotations

import pyarrow as pa
import pytest

from posthog_assets.core import schemas
from posthog_assets.core.schemas import DESCRIPTION, POSTHOG_EVENTS, STAGED_EVENTS, STAGED_SEVERAL, STAGED_VERSIONS

STAGED = [
    "source_id", "kind", "event", "user_id", "anonymous_id", "timestamp", "properties", "set", "set_once", "groups",
    "group_set", "raw_part", "raw_line", "reject_reason",
]  # fmt: skip


def test_staged_events_have_these_columns_and_their_variants_add_one_at_the_end() -> None:
    assert STAGED_EVENTS.names == STAGED
    assert STAGED_VERSIONS.names == [*STAGED, "stored_at"]
    assert STAGED_SEVERAL.names == [*STAGED, "event_number"]


def test_events_have_these_columns() -> None:
    assert POSTHOG_EVENTS.names == [
        "uuid", "event", "distinct_id", "timestamp", "properties", "source_id", "reject_reason", "raw_part", "raw_line",
    ]  # fmt: skip


@pytest.mark.parametrize("schema", [STAGED_EVENTS, STAGED_VERSIONS, STAGED_SEVERAL, POSTHOG_EVENTS])
def test_times_are_microseconds_in_utc_numbers_are_64_bits_and_all_else_is_text(schema: pa.Schema) -> None:
    kinds = {"timestamp": pa.timestamp("us", "UTC"), "stored_at": pa.timestamp("us", "UTC"),
             "raw_line": pa.int64(), "event_number": pa.int64()}  # fmt: skip
    assert {field.name: field.type for field in schema} == {name: kinds.get(name, pa.string()) for name in schema.names}


def test_a_batch_file_has_the_columns_of_release_0_1() -> None:
    assert [(field.name, str(field.type)) for field in schemas.BATCH_FILE] == [
        ("uuid", "fixed_size_binary[16]"),
        ("content_hash", "uint64"),
        ("key_hash", "uint64"),
        ("verdict", "dictionary<values=string, indices=int8, ordered=0>"),
        ("detail", "string"),
    ]


@pytest.mark.parametrize("name", ["STAGED_SEVERAL", "STAGED_VERSIONS", "POSTHOG_EVENTS", "LEDGER", "LANDED_EVENTS",
                                  "DAY_FACTS", "PERSONS", "LINKS"])  # fmt: skip
def test_every_column_says_what_it_means_in_one_sentence_without_a_stop(name: str) -> None:
    for field in getattr(schemas, name):
        words = field.metadata[DESCRIPTION].decode()
        assert words
        assert words[0].isupper() or words.split()[0].strip(",") in ("event", "v1")
        assert not words.endswith(".")
