"""One record as a dialect reads it: its ids, the keys of its groups, its objects as text."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.core.json_text import dump_exactly
from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.reading import Reading, read_ids, trim_groups, written


def reading(**values: Any) -> Reading:
    row = Reading()
    for name, value in values.items():
        setattr(row, name, value)
    return row


def test_blanks_around_the_key_of_a_group_are_taken_off() -> None:
    row = reading(groups={"company": " acme\t", "team": "a b"})
    trim_groups(row)
    assert row.groups == {"company": "acme", "team": "a b"}


def test_ids_become_text() -> None:
    row = reading(user_id=7, anonymous_id="d-1")
    read_ids(row)
    assert (row.user_id, row.anonymous_id, row.remarks) == ("7", "d-1", None)


def test_an_id_that_is_none_is_remarked_where_the_other_one_is_good() -> None:
    row = reading(user_id={"id": 1}, anonymous_id="d-1")
    read_ids(row)
    assert (row.user_id, row.anonymous_id) == (None, "d-1")
    assert row.remarks == ["user id is neither text nor a whole number, so it counts as absent"]


@pytest.mark.parametrize("other", [None, "", [1]])
def test_a_record_whose_only_id_is_none_is_rejected(other: Any) -> None:
    with pytest.raises(Rejected, match="^user id is neither text nor a whole number: 1.5"):
        read_ids(reading(user_id=1.5, anonymous_id=other))


def test_objects_without_a_member_are_no_text_and_the_properties_always_are() -> None:
    row = reading(set={"plan": "pro"}, groups={"company": "acme"})
    assert written(row, dump_exactly) == (b"{}", b'{"plan":"pro"}', None, b'{"company":"acme"}', None)


def test_what_json_cannot_hold_rejects_the_record() -> None:
    deep: Any = "end"
    for _ in range(300):
        deep = [deep]
    with pytest.raises(Rejected, match="^record cannot be written as JSON: "):
        written(reading(set_once={"deep": deep}), dump_exactly)
