"""What every dialect shares: ids made of content, namespaces, copies for a day."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest

from posthog_assets.core.instants import Window
from posthog_assets.core.records import RecordChunk
from posthog_assets.core.schemas import STAGED_EVENTS, STAGED_VERSIONS
from posthog_assets.dialects.base import Dialect, content_id

NO_ROWS = pa.RecordBatch.from_pylist([], STAGED_EVENTS)


class Bare(Dialect):
    """A dialect that adds nothing to what all of them share."""

    def stage(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        return NO_ROWS


def test_the_id_of_content_does_not_depend_on_the_order_of_the_keys() -> None:
    # A literal: imported events without an id are known by it for ever.
    assert content_id({"b": 1, "a": {"d": 2, "c": 3}}) == content_id({"a": {"c": 3, "d": 2}, "b": 1})
    assert content_id({"a": 1}) == "content:2c6b113b8dd15ffbded9860b43eb0c6c"


def test_in_edition_1_a_number_and_its_text_are_other_content() -> None:
    assert Bare().id_of_content({"n": 1}) != Bare().id_of_content({"n": "1"})


def test_in_edition_2_text_is_the_content_it_says_and_a_field_without_a_value_is_none() -> None:
    newest = Bare(edition=2)
    assert newest.id_of_content({"n": 1, "o": {"a": True}, "x": None}) == newest.id_of_content(
        {"n": "1", "o": '{"a": true}', "x": ""}
    )
    assert newest.id_of_content({"n": "1.10"}) != newest.id_of_content({"n": 1.1})


def test_the_uuids_of_an_import_are_those_of_its_name_unless_a_namespace_replaces_it() -> None:
    # A literal: another namespace would send everything that is imported again.
    assert Bare().uuid_namespace("shop") == uuid.UUID("d22e481d-a816-503e-9dbd-009d38a2bbbb")
    assert Bare(namespace="shop").uuid_namespace("renamed") == Bare().uuid_namespace("shop")


def test_a_copy_for_a_day_leaves_the_dialect_as_it_was() -> None:
    dialect = Bare()
    narrowed = dialect.within(Window(0, 1)).with_column_kinds({"n": "number"})
    assert (dialect._window, dialect._kinds) == (None, {})
    assert (narrowed._window, narrowed._kinds) == (Window(0, 1), {"n": "number"})


def test_large_numbers_are_text_or_numbers_as_the_import_file_says() -> None:
    assert Bare().dumps({"n": 2**53 + 1}) == b'{"n":"9007199254740993"}'
    assert Bare(big_numbers="number").dumps({"n": 2**53 + 1}) == b'{"n":9007199254740993}'


def test_rows_of_versions_say_when_each_was_stored() -> None:
    class Versions(Bare):
        replaces_versions = True

    assert (Bare().staged_schema, Versions().staged_schema) == (STAGED_EVENTS, STAGED_VERSIONS)


def test_a_dialect_without_stage_is_not_one() -> None:
    with pytest.raises(TypeError, match="abstract method '?stage"):
        Dialect.model_validate({})


def test_the_rows_of_a_chunk_are_one_batch_unless_a_dialect_says_otherwise() -> None:
    (batch,) = Bare().batches(RecordChunk([1], [{}]), "part")
    assert batch.equals(NO_ROWS)
