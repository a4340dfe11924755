"""What an import file says of an endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.sources.rest.endpoint import Endpoint, ForEach


@pytest.mark.parametrize(
    ("settings", "ends"),
    [
        ({}, set()),
        ({"incremental": {"cursor_path": "at", "start_param": "since"}}, {"start"}),
        ({"incremental": {"cursor_path": "at", "start_param": "a", "end_param": "b"}}, {"start", "end"}),
        ({"incremental": {"cursor_path": "at"}, "json": {"where": [{"to": "{incremental.end_value}"}]}}, {"end"}),
        ({"incremental": {"cursor_path": "at"}, "path": "from/{incremental.start_value}"}, {"start"}),
    ],
)
def test_which_ends_of_a_day_the_api_is_asked_for(settings: dict[str, Any], ends: set[str]) -> None:
    assert Endpoint.model_validate(settings).bounded_ends == ends


def test_a_name_stands_for_a_paginator_that_says_nothing_else() -> None:
    endpoint = Endpoint.model_validate({"paginator": "single_page"})
    assert endpoint.paginator is not None
    assert endpoint.paginator.type == "single_page"


def test_one_path_of_a_key_may_be_written_as_a_text() -> None:
    assert Endpoint.model_validate({"primary_key": "id"}).primary_key == ("id",)
    assert Endpoint.model_validate({"primary_key": []}).primary_key == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"key_field": "key"}, "key_field needs primary_key, which says what it is made of"),
        ({"primary_key": "a..b"}, "is no path"),
        ({"data_selector": "a["}, "is no path"),
        ({"method": "PUT"}, "'GET' or 'POST'"),
    ],
)
def test_a_wrong_endpoint_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Endpoint.model_validate(settings)


def test_values_of_a_list_are_texts_and_one_may_stand_alone() -> None:
    assert ForEach.model_validate({"name": "site", "values": [7, "b"]}).values == ("7", "b")
    assert ForEach.model_validate({"name": "site", "values": 7}).values == ("7",)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "site"}, "needs either values, a list, or path, an endpoint that lists them"),
        ({"name": "site", "path": "/sites", "values": ["a"]}, "needs either values"),
        ({"name": "site", "values": ["a"], "include": ["title"]}, "include belongs to path: values have no fields"),
        ({"name": "site-id", "values": ["a"]}, "should match pattern"),
    ],
)
def test_a_wrong_for_each_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ForEach.model_validate(settings)
