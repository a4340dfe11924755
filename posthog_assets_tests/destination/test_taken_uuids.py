"""Uuids of an answer that says `ok` of each."""

from __future__ import annotations

import uuid

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.arrow_columns import pack
from posthog_assets.destination.taken_uuids import all_taken

ONE = "0190a1b2-0000-7000-8000-00000000000a"
TWO = "c56a4180-65aa-42ec-a945-5fd21dec0538"
OK = {"result": "ok"}


def answered(results: dict[str, object]) -> bytes:
    return orjson.dumps({"results": results})


@given(st.sets(st.uuids(), min_size=1, max_size=20), st.randoms())
def test_the_uuids_of_an_answer_are_found_in_any_order(uuids: set[uuid.UUID], chance: object) -> None:
    names = sorted(map(str, uuids))
    given_names = list(names)
    chance.shuffle(given_names)  # type: ignore[attr-defined]
    found = all_taken(answered(dict.fromkeys(given_names, OK)))
    if found is None:
        # Two that begin alike are left to the slow way.
        assert len({name[:18] for name in names}) < len(names)
        return
    assert set(found) == set(names)
    assert len(found) == len(names)
    assert found.are(pack(pa.array(names)))
    assert not found.are(pack(pa.array(names[1:], pa.string())))
    assert not found.are(pack(pa.array([*names[1:], str(uuid.UUID(int=uuid.UUID(names[0]).int ^ 1))])))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"results":{}}',
        b'{"results":{"u1":{"result":"ok"}}}',
        answered({ONE: OK, TWO: {"result": "no"}}),
        answered({ONE: OK, TWO: {"result": "drop", "details": "x"}}),
        answered({ONE: OK, TWO.upper(): OK}),
        answered({ONE: OK, TWO.replace("-", "_"): OK}),
        answered({ONE: OK})[:-1],
        answered({ONE: OK}) + b"\n",
        b'{"results":{"%s":{"result":"ok"},"%s":{"result":"ok"}}}' % (ONE.encode(), ONE.encode()),
        b'{"results": {"%s":{"result":"ok"}}}' % ONE.encode(),
        b'{"results":{"%s":{"result":"ok"},}}' % ONE.encode(),
    ],
)
def test_any_other_answer_is_left_to_the_slow_way(body: bytes) -> None:
    assert all_taken(body) is None


def test_uuids_that_are_taken_can_be_compared_with_texts() -> None:
    found = all_taken(answered({TWO: OK, ONE: OK}))
    assert found is not None
    assert ONE in found
    assert "u1" not in found
    assert found >= {TWO}
    assert found & {ONE, "u1"} == {ONE}
