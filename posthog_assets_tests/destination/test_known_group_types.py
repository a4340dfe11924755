"""Which group types a project may get: the five it has room for, and none that nobody named."""

from __future__ import annotations

import pytest

from posthog_assets.core.errors import GroupTypesRefused, KeyRefused
from posthog_assets.destination.known_group_types import group_type_flaws, known_group_types, refuse_group_types
from posthog_assets.destination.query_client import QueryClient
from posthog_assets.destination.settings import Destination
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply

FIVE = ["a", "b", "c", "d", "e"]


def asked(reply: Reply) -> list[str] | None:
    with CaptureServer(lambda asked: reply) as server:
        given = {"host": server.url, "personal_api_key": "phx_any", "project_id": 7, "timeout_seconds": 5}
        return known_group_types(QueryClient(Destination.model_validate(given)))


def test_types_are_in_the_order_of_their_places_and_what_is_no_text_is_none() -> None:
    assert asked(Reply(200, b'{"results":[["b"],["a"],[null],[],[3]]}')) == ["b", "a"]


def test_a_version_that_cannot_be_asked_is_none_and_a_key_that_may_not_is_an_error() -> None:
    assert asked(Reply(400, b'{"detail":"unknown table"}')) is None
    with pytest.raises(KeyRefused):
        asked(Reply(403, b"{}"))


def test_types_that_the_project_has_or_the_file_names_pass() -> None:
    refuse_group_types({"a", "e"}, FIVE, [], "2024-03-01")
    refuse_group_types({"a", "new"}, FIVE[:4], ["new"], "2024-03-01")
    refuse_group_types(set(), FIVE, [], "2024-03-01")
    refuse_group_types({"a"}, [*FIVE, "f"], [], "2024-03-01")
    refuse_group_types(set(FIVE), None, [], "2024-03-01")


def test_a_sixth_type_is_refused_though_the_file_names_it() -> None:
    with pytest.raises(GroupTypesRefused) as raised:
        refuse_group_types({"a", "new"}, FIVE, ["new"], "2024-03-01")
    assert str(raised.value) == (
        "2024-03-01: a project has at most 5 group types and drops the groups of others without an error, but the "
        "events name a, new, and the project has a, b, c, d, e. Give some of them another type, or none, in "
        "mapping.groups. Nothing was sent"
    )
    assert len(list(group_type_flaws({*FIVE, "f"}, None, []))) == 1


def test_a_type_that_the_file_does_not_name_is_refused_with_the_setting_that_asks_for_it() -> None:
    assert list(group_type_flaws({"team", "x" * 100, "a"}, [], ["a"])) == [
        "the project does not have the group types team, " + "x" * 59 + "… (it has none), and a type keeps its place "
        "for ever. Where they are meant, set destination.new_group_types: [team, " + "x" * 59 + "…]; else rename or "
        "leave them out in mapping.groups"
    ]
