"""A known secret is hidden in whatever form it is repeated, and nothing else is."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.core.secrets import HIDDEN, hidden, hidden_text, without_credentials
from posthog_assets_tests.examples import examples

KEY = "phc_Abc/def+ghi~jkl"
BARE = KEY.removeprefix("phc_")


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        BARE,
        KEY.upper(),
        KEY.lower(),
        quote(KEY),
        quote(KEY, safe=""),
        "".join(f"%{byte:02X}" for byte in KEY.encode()),
        KEY.replace("/", "\\/"),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode(),
        base64.b64encode(BARE.encode()).decode(),
    ],
)
def test_a_secret_is_hidden_in_any_form(form: str) -> None:
    assert hidden(f"got <{form}> from you".encode(), KEY) == f"got <{HIDDEN}> from you".encode()


@settings(max_examples=examples(60))
@given(st.sampled_from(["", "u", "us", "user", "user:"]), st.sampled_from(["", ":", ":x", ":xyz"]))
def test_no_part_of_a_secret_is_left_of_the_base64_of_a_header_with_it(before: str, after: str) -> None:
    coded = base64.b64encode(f"{before}{KEY}{after}".encode()).decode()
    left = hidden_text(f"Basic {coded}", KEY)
    assert HIDDEN in left
    rest = left.removeprefix("Basic ").replace(HIDDEN, "")
    # What is left is too short to hold more than what stood beside it.
    assert len(rest) <= len(base64.b64encode((before + after).encode())) + 4


def test_two_secrets_are_hidden_one_beside_the_other_and_an_empty_one_hides_nothing() -> None:
    assert hidden(b"a=first-key&b=second-key", "first-key", "second-key") == b"a=(the key)&b=(the key)"
    assert hidden(b"abc", "") == b"abc"
    assert hidden(b"abc") == b"abc"


@pytest.mark.parametrize("secret", ["a", "e", "pw", "s3c", "1", "é"])
def test_a_secret_of_few_letters_is_hidden_where_it_is_a_whole_value_and_leaves_words_as_they_are(secret: str) -> None:
    sentence = "1 table has access, e.g. export_pw_s3c (61 rows): pwé"
    assert hidden_text(sentence, secret) == sentence
    assert hidden_text(f"postgresql://u:{secret}@host/db is refused", secret) == (
        f"postgresql://u:{HIDDEN}@host/db is refused"
    )
    assert hidden_text(f"password={secret}&x=y, got '{secret}'", secret) == f"password={HIDDEN}&x=y, got '{HIDDEN}'"
    assert hidden_text(f"password={quote(secret)}", secret) == f"password={HIDDEN}"


def test_what_is_special_in_a_pattern_is_only_itself() -> None:
    assert hidden(b"a.c+(x) abc+(x)", "a.c+(x)") == b"(the key) abc+(x)"


def test_a_secret_of_other_letters_is_found_in_text_that_is_no_utf_8() -> None:
    assert hidden("\xff k\u00fcrbis".encode("latin-1") + "kürbis!".encode(), "kürbis!").endswith(HIDDEN.encode())
    assert hidden_text("half \ud83d of k-e-y-1", "k-e-y-1") == "half ��� of (the key)"


@pytest.mark.parametrize(
    "text",
    [
        "no secret here",
        "https://eu.i.posthog.com/batch/?ip=1",
        "phc_short",
        "monkey business",
        "at 12:30:00 user@example.com wrote",
        "s3://bucket/key/of/object",
    ],
)
def test_text_without_a_credential_stays_as_it_is(text: str) -> None:
    assert without_credentials(text) == text


def test_hiding_twice_changes_nothing() -> None:
    text = "password=hunter2 token=abc https://u:p@h/ phx_abcdefghij"
    once = without_credentials(text)
    assert once == "password=*** token=*** https://u:***@h/ phx_***"
    assert without_credentials(once) == once
