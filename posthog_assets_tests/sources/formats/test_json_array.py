"""JSON arrays, objects, and lines under the name `.json`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from posthog_assets.core.errors import BrokenPart
from posthog_assets.sources.formats import Unreadable
from posthog_assets_tests.sources.formats.reading import positions, read, shared


@pytest.mark.parametrize(
    ("data", "records"),
    [
        (b"[]", []),
        (b" [ \n ] \n", []),
        (b'[{"a":1}]', [{"a": 1}]),
        (b'[\n  {"a": [1, {"b": "],}{"}]},\n  {"c": "\\\\\\""}\n]\n', [{"a": [1, {"b": "],}{"}]}, {"c": '\\"'}]),
        (b'\xef\xbb\xbf[{"a":1},{"b":2}]', [{"a": 1}, {"b": 2}]),
        (b'{"a":1}', [{"a": 1}]),
        (b'{\n  "events": [\n{"a":1}\n]\n}\n', [{"events": [{"a": 1}]}]),
        (b'{"events":[\n{"a":1},\n{"a":2}\n]}', [{"events": [{"a": 1}, {"a": 2}]}]),
        (b'{"a":1}\n{"b":2}\n', [{"a": 1}, {"b": 2}]),
        (b'{\n"a":1\n}\n{\n"b":2\n}\n', [{"a": 1}, {"b": 2}]),
        (b'{"a":1}{"b":2}', [{"a": 1}, {"b": 2}]),
        (b"", []),
    ],
)
def test_an_array_an_object_and_objects_in_a_row_are_told_apart(data: bytes, records: list[dict[str, object]]) -> None:
    if data == b'{"a":1}{"b":2}':
        # On one line, this could as well be a bad line.
        assert isinstance(read(data, "a.json")[0], Unreadable)
    else:
        assert read(data, "a.json") == records


def test_a_bad_element_is_one_unreadable_record() -> None:
    found = read(b'[{"a":1}, 7, {"b": nan}, {"c":3}]', "a.json")
    assert found[0] == {"a": 1}
    assert found[1] == Unreadable("not a JSON object but a number")
    assert isinstance(found[2], Unreadable)
    assert found[3] == {"c": 3}
    assert positions(b'[{"a":1}, 7, {"b": nan}, {"c":3}]', "a.json") == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'[{"a":1},{"b":2}', "day.json: the file ends inside the array, after element 1"),
        (b'[{"a":1},{"b":"', "day.json: the file ends inside the array, after element 1"),
        (b"[", "the file ends inside the array, after element 0"),
        (b'[{"a":1} {"b":2}]', "stands after a value, where a comma or the end belongs"),
        (b'[{"a":1}] {"b":2}', "more stands after the end of the array"),
        (b'[{"a":1},,{"b":2}]', "there is no value where one belongs"),
        (b'[{"a":1},]', "day.json: a comma, and no value after it, ends the array"),
        (b'[{"a":1}}', "stands after a value"),
        (b"<html>Not found</html>", "day.json is not JSON: it starts with '<html>"),
        (b'{\n"a": 1', "the file ends inside a value, after element 0"),
    ],
)
def test_an_array_that_ends_early_or_loses_its_boundaries_is_broken(data: bytes, words: str) -> None:
    with pytest.raises(BrokenPart, match=words.replace("[", r"\[")):
        read(data, "day.json")


def test_a_bad_line_in_json_lines_under_the_name_json_is_unreadable() -> None:
    found = read(b'{"a":nan}\n{"b":2}\n', "a.json")
    assert isinstance(found[0], Unreadable)
    assert found[1] == {"b": 2}


def test_the_same_records_come_out_of_lines_and_of_an_array() -> None:
    import gzip

    lines = gzip.decompress(shared("github-events-2021-07-21.jsonl.gz").read_bytes())
    array = b"[" + b" ,\n".join(lines.splitlines()) + b"]"
    assert read(array, "a.json", rows=7) == read(lines, "a.jsonl")


_MEASURE = """
import io, resource, sys
from posthog_assets.sources.formats import detect, read_records

class Long(io.RawIOBase):
    left, rest = int(sys.argv[1]), b"["
    def readable(self): return True
    def read(self, size=-1):
        pieces = [self.rest]
        for _ in range(min(max(self.left, 0), size // 900)):
            pieces.append(b'{"n":%d,"t":"' % self.left + b"x" * 900 + b'"},')
            self.left -= 1
        if not self.left:
            pieces.append(b"{}]")
            self.left -= 1
        self.rest = b"".join(pieces)
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

count = sum(len(c.records) for c in read_records(Long(), detect("a.json"), "a.json"))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.end_to_end
def test_memory_stays_flat_however_long_the_array_is() -> None:
    def measure(elements: int) -> tuple[int, int]:
        command = [sys.executable, "-c", _MEASURE, str(elements)]
        output = subprocess.run(command, capture_output=True, text=True, check=True)
        count, megabytes = output.stdout.split()
        return int(count), int(megabytes)

    small, large = measure(20_000), measure(200_000)
    assert (small[0], large[0]) == (20_001, 200_001)
    # The larger file is 165 MB larger.
    assert large[1] - small[1] < 20
