"""What is compiled from a dialect's tables reads every record as the tables themselves do."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import orjson
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.cli.main import cli
from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects import DIALECTS, load_dialect
from posthog_assets.dialects.notes import notes_of
from posthog_assets.dialects.vendor import Vendor
from posthog_assets.dialects.vendor_functions import lines_of
from posthog_assets.sources.formats.json_lines import unparsed
from posthog_assets_tests.dialects.test_any_object import EXAMPLES, changed, dialect, paths, texts, values
from posthog_assets_tests.examples import examples

VENDORS = sorted(name for name in EXAMPLES if issubclass(DIALECTS[name], Vendor))

#: Values that tables, ids, names and persons ask about.
pointed = st.one_of(
    values,
    st.sampled_from(
        ["", " ", "EMPTY", "(not set)", 0, 1.0, 2**60, {"$set": {"a": 1}}, {"$set": {"a": 1}, "$set_once": {"a": 2}},
         {"$unset": ["a"]}, {"distinct_id": "x"}, "$identify", "$merge", "$groupidentify", "session_start"]
    ),
)  # fmt: skip


def slow(name: str, more: dict[str, Any]) -> Vendor:
    """Return the dialect without what is compiled."""
    kind: Any = DIALECTS[name]

    class Slow(kind):  # type: ignore[misc]
        compiled: ClassVar[bool] = False

    return Slow.model_validate(dialect(name) | more)


def is_read_alike(name: str, records: list[Any], more: dict[str, Any]) -> None:
    fast, reference = load_dialect(dialect(name) | more), slow(name, more)
    expected = reference.stage(RecordChunk(range(1, len(records) + 1), copy.deepcopy(records)), "part")
    assert fast.stage(RecordChunk(range(1, len(records) + 1), copy.deepcopy(records)), "part").equals(expected)
    lines = [orjson.dumps(record) + b"\n" for record in records]
    read, slowly = (one.stage(unparsed(lines, 1), "part") for one in (fast, reference))
    assert read.equals(slowly)
    assert notes_of(read.schema.metadata) == notes_of(slowly.schema.metadata)


@pytest.mark.parametrize("name", VENDORS)
@given(st.data())
@settings(max_examples=examples(60), deadline=None)
def test_any_value_anywhere_in_a_record_is_read_alike(name: str, data: st.DataObject) -> None:
    example, more = EXAMPLES[name], data.draw(st.sampled_from([{}, {"groups": {"team": {"column": "team"}}}]))
    record = example
    for _ in range(data.draw(st.integers(1, 3))):
        record = changed(record, data.draw(st.sampled_from(paths(record))), data.draw(pointed))
    is_read_alike(name, [example, record, example], more)


@pytest.mark.parametrize("name", VENDORS)
@given(st.lists(st.dictionaries(texts, values, max_size=6), max_size=4))
@settings(max_examples=examples(20), deadline=None)
def test_any_object_is_read_alike(name: str, records: list[dict[str, Any]]) -> None:
    is_read_alike(name, records, {})


@pytest.mark.parametrize("line", [b"{", b"[]", b"null", b'{"a": 1', b"\xff", b'{"event": "\\ud83d"}', b"{} {}"])
def test_a_line_that_is_no_record_is_rejected_with_the_same_words(line: bytes) -> None:
    chunk = [line + b"\n", orjson.dumps(EXAMPLES["mixpanel"]) + b"\n"]
    fast, reference = load_dialect(dialect("mixpanel")), slow("mixpanel", {})
    batch = fast.stage(unparsed(chunk, 1), "part")
    assert batch.equals(reference.stage(unparsed(chunk, 1), "part"))
    assert batch["reject_reason"].to_pylist()[0] and batch["reject_reason"].to_pylist()[1] is None


def test_a_subclass_with_tables_of_its_own_is_compiled_from_these() -> None:
    class Own(Vendor):
        type: str = "own"
        source_id = ("meta.id", "id")
        user_id = ("who",)
        timestamp = ("at",)
        properties = {"a": "alpha", "deep.b": "beta", "deep.er.c": "gamma"}
        spread = ("rest",)
        renames = {"old": "new"}
        dropped = frozenset({"secret"})

    record = {
        "event": "bought", "id": "i-1", "who": 7, "at": "2024-03-01T10:00:00Z", "a": 1,
        "deep": {"b": "", "er": {"c": 2}}, "rest": {"old": 3, "secret": 4, "x": 5},
    }  # fmt: skip
    batch: pa.RecordBatch = Own().stage(RecordChunk(range(1, 2), [copy.deepcopy(record)]), "part")
    (row,) = batch.to_pylist()
    assert (row["source_id"], row["user_id"], row["event"]) == ("i-1", "7", "bought")
    assert row["properties"] == '{"alpha":1,"gamma":2,"x":5,"new":3}'
    assert Own().stage(unparsed([orjson.dumps(record)], 1), "part").equals(batch)
    assert lines_of(Own, has_groups=False) is not None


def test_a_name_that_is_kept_is_read_alike() -> None:
    clicked = EXAMPLES["amplitude"] | {"event_type": "[Amplitude] Element Clicked"}
    is_read_alike("amplitude", [clicked], {"keep": ["[Amplitude] Element Clicked"]})
    is_read_alike("amplitude", [clicked], {})


def test_the_compiled_functions_of_a_dialect_can_be_printed() -> None:
    result = CliRunner().invoke(cli, ["dialects", "amplitude", "--source"])
    assert result.exit_code == 0
    assert "def lines(dialect, texts, columns, slowly):" in result.stdout
    assert "def rows(dialect, records, untyped, columns):" in result.stdout
    assert "        into['$geoip_city_name'] = value" in result.stdout
    compile(result.stdout, "printed", "exec")
