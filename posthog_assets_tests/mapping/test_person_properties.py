"""Ids, profiles and person properties."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.mapping import EventMapper, Mapping
from posthog_assets.mapping.settings import IdentityMap
from posthog_assets.pipeline.mapping_files import read_identity_map
from posthog_assets_tests.mapping import test_mapping
from posthog_assets_tests.mapping.test_mapping import DAY, DIALECT, NOON, map_rows, row


def properties(event: dict[str, Any]) -> dict[str, Any]:
    return json.loads(event["properties"])


def test_events_of_nobody_known_make_no_person_where_wished(tmp_path: Path) -> None:
    rows = [
        row(1, user_id=None, anonymous_id="a-1", set='{"plan":"pro"}'),
        row(2, user_id=None, anonymous_id="a-1", properties="{}"),
        row(3, user_id=None, anonymous_id="a-1", properties='{"$process_person_profile":true}'),
        row(4, set='{"plan":"pro"}'),
    ]
    events, _ = map_rows(rows, tmp_path, anonymous_events="personless")
    said = [properties(event) for event in events]
    assert [p.get("$process_person_profile") for p in said] == [False, False, True, None]
    assert ["$set_once" in p for p in said] == [False, False, False, True]
    assert said[0]["page"] == "Home"


@pytest.mark.parametrize(
    ("wish", "last", "first"),
    [
        ({"default": "set_once", "set": ["plan"]}, {"plan": "pro"}, {"name": "Ann", "source": "ad"}),
        ({"default": "set", "set_once": ["name"]}, {"plan": "pro"}, {"name": "Ann", "source": "ad"}),
        ({"default": "none", "set": ["plan"]}, {"plan": "pro"}, None),
        ({"default": "set", "none": ["plan", "source"]}, {"name": "Ann"}, None),
    ],
)
def test_each_person_property_goes_where_it_is_to_be(
    wish: dict[str, Any], last: Any, first: Any, tmp_path: Path
) -> None:
    said = row(set='{"plan":"pro","name":"Ann"}', set_once='{"source":"ad"}')
    (event,), _ = map_rows([said], tmp_path, person_properties=wish)
    assert (properties(event).get("$set"), properties(event).get("$set_once")) == (last, first)


def test_a_property_named_for_two_places_is_refused() -> None:
    with pytest.raises(ValueError, match="plan: each property goes to one place"):
        Mapping.model_validate({"person_properties": {"set": ["plan"], "none": ["plan"]}})


def test_ids_become_those_persons_have_now_in_links_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mapped(EventMapper):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options, identity_map={"17": "ann@example.com", "d": "device"})

    monkeypatch.setattr(test_mapping, "EventMapper", Mapped)
    events, _ = map_rows([row(1, user_id=" 17", anonymous_id="d"), row(2, user_id="18")], tmp_path)
    assert [event["distinct_id"] for event in events] == ["ann@example.com", "ann@example.com", "18"]
    assert properties(events[0])["$anon_distinct_id"] == "device"


def test_a_table_of_ids_is_read_whatever_its_format(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text("old_id,new_id\n17,ann\n 18 ,bob\n19,\n17,ann\n")
    assert read_identity_map(IdentityMap(path=str(path))) == {"17": "ann", "18": "bob"}
    path = tmp_path / "ids.jsonl"
    path.write_text('{"a":17,"b":"ann"}\n')
    assert read_identity_map(IdentityMap(path=str(path), old="a", new="b")) == {"17": "ann"}
    path.write_text('{"a":18,"b":"bobby"}\n')
    assert read_identity_map(IdentityMap(path=str(path), old="a", new="b")) == {"18": "bobby"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,new_id\n1,2\n", "has no column 'old_id'; it has: id, new_id"),
        ("old_id,new_id\n1,2\n1,3\n", "'1' is both '2' and '3'"),
    ],
)
def test_a_wrong_table_of_ids_is_explained(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text(content)
    with pytest.raises(ImportFileError, match=words):
        read_identity_map(IdentityMap(path=str(path)))
    with pytest.raises(ImportFileError, match="there is no file at"):
        read_identity_map(IdentityMap(path=str(tmp_path / "none.csv")))


def test_mapping_asks_no_file_for_ids() -> None:
    wish = Mapping.model_validate({"identity_map": {"path": "/nowhere.csv"}})
    EventMapper(wish, "wiki", DIALECT, day=DAY, fetched_at=NOON)


def test_keeping_some_properties_keeps_nobody_from_staying_without_a_profile(tmp_path: Path) -> None:
    nobody = row(1, user_id=None, anonymous_id="a-1")
    (event,), _ = map_rows([nobody], tmp_path, anonymous_events="personless", properties={"keep": []})
    assert properties(event)["$process_person_profile"] is False
    assert "page" not in properties(event)
