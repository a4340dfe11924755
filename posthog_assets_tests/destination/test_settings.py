"""The section `destination`: which hosts it sends to and looks at, and which keys it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.core.errors import ImportFileError
from posthog_assets.destination.settings import Destination


@pytest.mark.parametrize(
    ("host", "sends_to", "looks_at", "is_cloud"),
    [
        ("https://eu.i.posthog.com", "https://eu.i.posthog.com", "https://eu.posthog.com", True),
        ("https://us.i.posthog.com/", "https://us.i.posthog.com", "https://us.posthog.com", True),
        # People copy the address of the app; PostHog's SDK sends to the ingestion host all the same.
        ("https://app.posthog.com", "https://us.i.posthog.com", "https://us.posthog.com", True),
        ("https://eu.posthog.com", "https://eu.i.posthog.com", "https://eu.posthog.com", True),
        ("https://ph.example.com/sub/", "https://ph.example.com/sub", "https://ph.example.com/sub", False),
        ("http://127.0.0.1:8010", "http://127.0.0.1:8010", "http://127.0.0.1:8010", False),
        ("https://eu.i.posthog.com.evil.example", "https://eu.i.posthog.com.evil.example",
         "https://eu.i.posthog.com.evil.example", False),
    ],
)  # fmt: skip
def test_a_host_sends_to_and_looks_at(host: str, sends_to: str, looks_at: str, is_cloud: bool) -> None:
    destination = Destination(host=host)
    assert (destination.ingestion_host(), destination.app_host()) == (sends_to, looks_at)
    assert destination.is_cloud is is_cloud
    assert destination.events_per_second == (2_000 if is_cloud else None)


@pytest.mark.parametrize("host", [None, "", "  "])
def test_an_empty_host_is_an_unset_variable_and_only_refused_when_something_is_sent(host: str | None) -> None:
    destination = Destination.model_validate({"host": host})
    assert (destination.is_cloud, destination.verifies) == (False, False)
    with pytest.raises(ImportFileError, match=r"destination\.host is empty"):
        destination.ingestion_host()
    with pytest.raises(ImportFileError, match=r"destination\.host is empty"):
        destination.app_host()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (None, "is empty"),
        ("", "is empty"),
        ("  ", "is empty"),
        ("phx_personal", "is a personal key"),
        ("x" * 65, "at most 64"),
        ("phc_ünicode", "visible ASCII"),
        ("phc_\tab", "visible ASCII"),
    ],
)
def test_a_key_that_posthog_refuses_is_refused_before_it_is_sent(key: str | None, words: str) -> None:
    with pytest.raises(ImportFileError, match=words) as raised:
        Destination.model_validate({"project_api_key": key}).write_key()
    assert key is None or not key.strip() or key not in str(raised.value)


@pytest.mark.parametrize("key", ["phc_abc", "  phc_abc\n", "x" * 64, "old-key without prefix"])
def test_any_other_key_is_taken_without_the_spaces_around_it(key: str) -> None:
    assert Destination.model_validate({"project_api_key": key}).write_key() == key.strip()


@pytest.mark.parametrize(
    ("key", "project", "verifies", "usable"),
    [
        ("phx_a", 7, True, True),
        (" phx_a ", "7", True, True),
        (None, 7, False, False),
        ("", 7, False, False),
        ("phx_a", None, False, False),
        ("phx_a", "", False, False),
        ("phx_ü", 7, True, False),
        ("phx_a", "7/8", True, False),
    ],
)
def test_looking_takes_a_personal_key_and_a_project(
    key: str | None, project: object, verifies: bool, usable: bool
) -> None:
    destination = Destination.model_validate({"personal_api_key": key, "project_id": project})
    assert destination.verifies is verifies
    if usable:
        assert destination.look_key() == "phx_a"
        assert destination.project_id == "7"
    else:
        with pytest.raises(ImportFileError, match="personal_api_key"):
            destination.look_key()


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("batch_events", [1, 50_000], [0, 50_001]),
        ("batch_bytes", [1 << 20, 9 << 20], [(1 << 20) - 1, (9 << 20) + 1]),
        ("concurrency", [1, 32], [0, 33]),
        ("max_events_per_second", [0.5, None], [0, -1]),
        ("max_requests_per_second", [0.1], [0]),
        ("timeout_seconds", [0.1], [0]),
        ("retry_seconds", [0], [-1]),
        ("landing_seconds", [0], [-1]),
        ("protocol", ["auto", "v1", "batch"], ["V1", "v2", "", "v1\n"]),
        ("recent_events", ["send", "hold_back"], ["hold", ""]),
        ("host", ["http://a"], ["eu.i.posthog.com", "ftp://a", "https://"]),
        ("api_key", [], ["phc_a"]),
    ],
)
def test_limits_hold_exactly(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        Destination.model_validate({field: value})
    for value in bad:
        with pytest.raises(ValidationError):
            Destination.model_validate({field: value})


def test_no_key_is_in_what_is_shown_of_the_section() -> None:
    destination = Destination.model_validate({"project_api_key": "phc_secret1", "personal_api_key": "phx_secret2"})
    for text in (repr(destination), str(destination), destination.model_dump_json()):
        assert "secret1" not in text
        assert "secret2" not in text


def test_without_a_word_history_is_marked_as_such_and_persons_are_not_set_again() -> None:
    destination = Destination.model_validate({})
    assert destination.historical_migration is True
    assert destination.resend_persons is False
    assert destination.allow_duplicates is False
    assert (destination.protocol, destination.batch_events, destination.batch_bytes) == ("auto", 5_000, 8_388_608)
