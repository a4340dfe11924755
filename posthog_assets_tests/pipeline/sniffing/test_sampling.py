"""Records as a table of paths, for a look."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthog_assets.core.errors import BrokenPart
from posthog_assets.pipeline.sniffing.sampling import Sample, flattened, read_on, read_sample, table_of
from posthog_assets.sources.files.locations import Location
from posthog_assets.sources.files.source import Files


def test_objects_are_looked_into_down_to_a_depth_and_lists_are_not() -> None:
    record = {"a": {"b": {"c": {"d": 1}}}, "list": [{"x": 1}], "none": {}}
    assert dict(flattened(record)) == {"a.b.c": {"d": 1}, "list": [{"x": 1}], "none": {}}


def test_a_path_is_there_also_where_no_record_has_a_value() -> None:
    assert table_of([{"a": 1, "b": None}, {"a": "", "c": {"d": 0}}]) == {"a": [1], "b": [], "c.d": [0]}


def sample(path: Path, content: bytes) -> Sample:
    path.write_bytes(content)
    location = Location(str(path), {})
    return read_sample(
        location, location.find()[0], Files.model_validate({"type": "files", "path": str(path), "day_column": "t"})
    )


def test_a_small_file_is_read_as_a_whole_with_its_flaws(tmp_path: Path) -> None:
    found = sample(tmp_path / "a.jsonl", b'{"n":1}\nbroken\n{"n":2}\n')
    assert (found.records, len(found.flaws), found.whole, found.untyped) == ([{"n": 1}, {"n": 2}], 1, True, False)


def test_the_values_of_csv_are_text(tmp_path: Path) -> None:
    found = sample(tmp_path / "a.csv", b"n\n1\n")
    assert (found.records, found.untyped) == ([{"n": "1"}], True)


def test_a_file_without_a_readable_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BrokenPart):
        sample(tmp_path / "a.jsonl.gz", b"\x1f\x8b broken")


def test_all_records_are_read_until_the_time_is_up(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":1}\n' * 3)
    location, source = (
        Location(str(path), {}),
        Files.model_validate({"type": "files", "path": str(path), "day_column": "t"}),
    )
    whole = list(read_on(location, location.find(), source, 60))
    assert [len(chunk.records) for chunk in whole if chunk] == [3]
    assert list(read_on(location, location.find(), source, -1))[-1] is None
