"""The uuid of an event: the same bytes as everybody's UUIDv5, since it must stay what it is for ever."""

from __future__ import annotations

import uuid

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.mapping.uuids import uuids5, verbatim
from posthog_assets_tests.examples import examples

names = st.lists(st.text("aZ0-\x00\nü😀", max_size=6), max_size=5)


@settings(max_examples=examples(60))
@given(st.uuids(), names)
def test_each_is_the_uuidv5_of_its_name(namespace: uuid.UUID, given_names: list[str]) -> None:
    assert uuids5(namespace, given_names).to_pylist() == [str(uuid.uuid5(namespace, name)) for name in given_names]


def test_the_example_of_the_standard() -> None:
    """RFC 9562, appendix A.4."""
    assert uuids5(uuid.NAMESPACE_DNS, ["www.example.com"]).to_pylist() == ["2ed6657d-e927-568b-95e1-2665a8aea6a2"]


def test_a_name_that_is_a_uuid_is_kept_in_small_letters_and_any_other_becomes_one() -> None:
    own = "0190AAAA-bbbb-7000-8000-00000000000F"
    others = [own + "\n", own[:-1], "{" + own + "}", own.replace("-", ""), own.replace("A", "G"), "", "ü"]
    found = verbatim(uuid.NAMESPACE_URL, pa.array([own, *others])).to_pylist()
    assert found == [own.lower(), *(str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in others)]
    assert verbatim(uuid.NAMESPACE_URL, pa.array([own, own])).to_pylist() == [own.lower()] * 2
    assert verbatim(uuid.NAMESPACE_URL, pa.array([], pa.string())).to_pylist() == []
