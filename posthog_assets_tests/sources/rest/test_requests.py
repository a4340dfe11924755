"""A request to an API, before it is sent."""

from __future__ import annotations

from posthog_assets.sources.rest.requests import Request, filled, filled_path, pairs_of, placeholders, without_params


def test_a_text_that_is_one_placeholder_becomes_the_value_with_its_type() -> None:
    known = {"form": 7, "incremental.start_value": 1_709_251_200}
    body = {"from": "{incremental.start_value}", "q": "form:{form}", "ids": ["{form}", "{unknown}"], "n": 1}
    assert filled(body, known) == {"from": 1_709_251_200, "q": "form:7", "ids": [7, "{unknown}"], "n": 1}


def test_a_value_in_a_path_is_quoted_and_its_slashes_as_it_is_wanted() -> None:
    known = {"repository": "acme/web site"}
    assert filled_path("repos/{repository}/issues", known, "/") == "repos/acme/web%20site/issues"
    assert filled_path("repos/{repository}/issues", known, "") == "repos/acme%2Fweb%20site/issues"


def test_placeholders_are_found_wherever_they_stand_and_other_braces_are_none() -> None:
    assert placeholders(["{a}/x", {"k": ["{b.c}", 1, None]}, "{1}", "{}", "{ d }"]) == {"a", "b.c"}


def test_parameters_are_pairs_of_texts() -> None:
    params = {"expand": ["a", "b"], "all": True, "page": 1, "none": None, "empty": ""}
    assert pairs_of(params) == (("expand", "a"), ("expand", "b"), ("all", "true"), ("page", "1"), ("empty", ""))


def test_the_target_has_the_parameters_and_the_credentials_and_what_is_shown_has_neither() -> None:
    request = Request("GET", "https://shop.example/orders?v=2", (("filter[at]", "a b"),))
    assert request.target({"key": "s3cret"}) == (
        "https://shop.example", "/orders?v=2&filter[at]=a+b&key=s3cret",
    )  # fmt: skip
    assert request.shown == "GET https://shop.example/orders"


def test_a_link_stands_instead_of_the_address_and_its_parameters() -> None:
    request = Request("GET", "https://shop.example/orders", (("page", "1"),), link="https://shop.example/orders?p=2")
    assert request.target({}) == ("https://shop.example", "/orders?p=2")
    assert request.target({"key": "k"})[1] == "/orders?p=2&key=k"


def test_an_address_without_a_path_is_the_root() -> None:
    assert Request("GET", "https://shop.example").target({}) == ("https://shop.example", "/")


def test_a_parameter_is_set_once() -> None:
    request = Request("GET", "https://shop.example", (("page", "1"), ("size", "2"), ("page", "3")))
    assert request.with_param("page", "4").params == (("size", "2"), ("page", "4"))


def test_parameters_are_left_out_of_a_link_whose_others_stay_as_they_are_written() -> None:
    link = "https://shop.example/a?api%5Bkey%5D=s3cret&x=a%20b&api[key]=s3cret&y=#z"
    assert without_params(link, ["api[key]"]) == "https://shop.example/a?x=a%20b&y=#z"
