"""What every section of an import file shares: closed, immutable, and loaded by its type."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from posthog_assets.core.sections import (
    Choices,
    HttpUrl,
    OptionalHttpUrl,
    Section,
    TimeZone,
    load_by_type,
    secrets_in,
)


class Animal(Section):
    """A base class of somebody's sections."""

    type: str = "animal"


class Cat(Animal):
    type: str = "cat"
    lives: int = 9


class Dog(Animal):
    type: str = "dog"
    name: str


KNOWN: dict[str, type[Animal]] = {"cat": Cat, "dog": Dog}


def test_a_section_is_closed_and_immutable_and_its_errors_show_no_value() -> None:
    with pytest.raises(ValidationError) as raised:
        Dog.model_validate({"name": "rex", "nmae": "hunter2"})
    assert "hunter2" not in str(raised.value)
    dog = Dog(name="rex")
    with pytest.raises(ValidationError):
        dog.name = "tom"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_time_zone_is_a_name_of_the_database(name: str) -> None:
    assert TypeAdapter(TimeZone).validate_python(name) == name


@pytest.mark.parametrize("name", ["Berlin", "UTC+2", "", "../etc/passwd", "/etc/localtime", "Europe/", "Europe"])
def test_any_other_zone_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValidationError, match="is no time zone; use a name such as Europe/Berlin or UTC"):
        TypeAdapter(TimeZone).validate_python(name)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://a.example", "https://a.example"),
        (" http://a.example:80/sub// ", "http://a.example:80/sub"),
        ("HTTPS://A.example/?q=1", "HTTPS://A.example/?q=1"),
    ],
)
def test_a_url_is_kept_without_spaces_and_the_slash_at_its_end(given: str, kept: str) -> None:
    assert TypeAdapter(HttpUrl).validate_python(given) == kept


@pytest.mark.parametrize("given", ["a.example", "ftp://a.example", "https://", "https:///x", "", "//a.example"])
def test_anything_else_is_no_url(given: str) -> None:
    with pytest.raises(ValidationError, match="must be a URL that starts with https:// or http://"):
        TypeAdapter(HttpUrl).validate_python(given)


def test_an_optional_url_is_none_where_a_variable_is_unset() -> None:
    adapter: TypeAdapter[str | None] = TypeAdapter(OptionalHttpUrl)
    assert [adapter.validate_python(value) for value in (None, "", "  ")] == [None, None, None]
    assert adapter.validate_python("http://a") == "http://a"
    with pytest.raises(ValidationError):
        adapter.validate_python("a")


@pytest.mark.parametrize(
    ("options", "secrets"),
    [
        ({"secret": "a", "region": "eu"}, ["a"]),
        ({"client_kwargs": {"password": "b", "verify": True}, "token": "c"}, ["b", "c"]),
        ({"secret": "", "key": None, "password": 7}, []),
        ("a", []),
        (None, []),
    ],
)
def test_secrets_among_options_are_known_by_their_names(options: Any, secrets: list[str]) -> None:
    assert sorted(secrets_in(options)) == secrets


def test_a_section_is_of_the_class_that_its_type_names() -> None:
    cat = load_by_type({"type": "cat", "lives": 7}, KNOWN, Animal)
    assert cat == Cat(lives=7)
    assert load_by_type(cat, KNOWN, Animal) is cat


def test_a_class_of_ones_own_is_named_by_its_path() -> None:
    known: dict[str, type[Animal]] = {"cat": Cat}
    found = load_by_type({"type": f"{__name__}.Dog", "name": "rex"}, known, Animal)
    assert (type(found), found.type) == (Dog, "dog")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"type": "cta"}, "type 'cta' is unknown; did you mean cat"),
        ({"type": "horse"}, "allowed: cat, dog, or my_package.MyClass"),
        ({"type": "no_such_module.Horse"}, "cannot be imported: No module named"),
        ({"type": "json.Horse"}, "cannot be imported: "),
        ({"type": "json.dumps"}, "is not a subclass of"),
        ({"type": "json.JSONDecoder"}, "is not a subclass of"),
        ({"type": 5}, "needs a type: one of cat, dog, or my_package.MyClass"),
        ({}, "needs a type"),
        ("cat", "needs a type"),
        (None, "is required and missing"),
    ],
)
def test_a_type_that_is_none_is_refused_with_what_is_allowed(value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load_by_type(value, KNOWN, Animal)


def test_choices_fall_back_to_a_plain_section_where_the_type_is_unknown() -> None:
    choices = Choices(KNOWN)
    assert choices.chosen({"type": "dog"}) is Dog
    assert choices.chosen({"type": "horse"}) is choices.chosen({}) is Section


class Small(Section):
    size: int
    name: str = "x"
    ratio: float | None = None
    inner: Cat | None = None


@pytest.mark.parametrize(
    ("given", "is_valid"),
    [
        ({"size": 5}, True),
        ({"size": "{{ env.SIZE }}"}, True),
        ({"size": "five"}, False),
        ({"size": 5, "ratio": "{{ env.RATIO }}", "name": "any"}, True),
        ({"size": 5, "ratio": "half"}, False),
        ({"size": 5, "inner": {"lives": "{{ env.LIVES }}"}}, True),
        ({"size": 5, "inner": {"lives": "many"}}, False),
        ({"size": 5, "other": 1}, False),
        ({}, False),
    ],
)
def test_the_json_schema_takes_a_template_for_any_value_and_nothing_else_of_a_wrong_type(
    given: dict[str, Any], is_valid: bool
) -> None:
    assert jsonschema.Draft202012Validator(Small.model_json_schema()).is_valid(given) is is_valid


class Own(Section):
    """A section of a user's own, who does not think of SecretStr."""

    api_key: str = ""
    path: str = ""
    params: dict[str, Any] = {}


def test_no_text_of_a_section_is_shown_that_is_a_credential_by_its_name_or_its_shape() -> None:
    one = Own(
        api_key="hunter2",
        path="s3://me:hunter2@bucket/x",
        params={"token": ["hunter2"], "page": "Home", "inner": {"password": "hunter2", "n": 1}},
    )
    shown = (
        "api_key='(the key)' path='s3://me:***@bucket/x' params={'token': ['(the key)'], 'page': 'Home', "
        "'inner': {'password': '(the key)', 'n': 1}}"
    )
    assert str(one) == shown
    assert repr([one]) == f"[Own({shown.replace(' path', ', path').replace(' params', ', params')})]"


def test_an_empty_credential_is_shown_as_empty() -> None:
    assert str(Own()) == "api_key='' path='' params={}"
