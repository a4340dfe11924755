"""The tree of errors: what is temporary, what is shown, and that no credential is."""

from __future__ import annotations

import pickle

import pytest

from posthog_assets.core import errors
from posthog_assets.core.errors import PosthogAssetsError, is_temporary, shorten


def test_only_what_passes_by_itself_is_temporary() -> None:
    ours = [
        found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, PosthogAssetsError)
    ]
    assert {error.__name__ for error in ours if error.temporary} == {
        "LookUnavailable", "PartitionBusy", "PartitionLost", "SourceUnavailable", "StorageUnavailable", "Unavailable",
    }  # fmt: skip
    assert {error.__name__: is_temporary(error.__name__) for error in ours} == {
        error.__name__: error.temporary for error in ours
    }


@pytest.mark.parametrize("name", ["KeyError", "shorten", "nothing", "annotations", ""])
def test_of_other_errors_nothing_is_known(name: str) -> None:
    assert is_temporary(name) is None


@pytest.mark.parametrize(
    ("error", "base"),
    [
        ("NoExport", "SourceError"), ("SourceRefused", "SourceError"), ("BrokenPart", "SourceError"),
        ("SourceUnavailable", "SourceError"), ("Refused", "DeliveryError"), ("Unavailable", "DeliveryError"),
        ("KeyWouldChange", "DeliveryError"), ("LookUnavailable", "VerificationError"),
        ("StorageUnavailable", "StorageError"), ("DamagedFile", "StorageError"), ("PartitionLost", "PartitionBusy"),
    ],
)  # fmt: skip
def test_who_catches_a_kind_of_error_catches_its_cases(error: str, base: str) -> None:
    assert issubclass(getattr(errors, error), getattr(errors, base))


def test_an_error_says_how_long_to_wait_and_hides_what_it_quotes() -> None:
    error = errors.Unavailable("no answer from https://u:hunter2@h/", 7, retry_after=30.0)
    assert error.args == ("no answer from https://u:***@h/", 7)
    assert error.retry_after == 30.0
    assert errors.Unavailable("busy").retry_after is None


def test_an_error_comes_whole_out_of_another_process() -> None:
    error = pickle.loads(pickle.dumps(errors.LookUnavailable("busy", retry_after=5.0)))
    assert (type(error), str(error), error.retry_after) == (errors.LookUnavailable, "busy", 5.0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "a"), ("x" * 10, "x" * 10), ("x" * 11, "x" * 9 + "…"), (7, "7"), (None, "None"), (["a"], "['a']"),
        (b"ab", "b'ab'"), ("", ""),
    ],
)  # fmt: skip
def test_a_value_is_cut_to_its_limit_and_not_before(value: object, shown: str) -> None:
    assert shorten(value, 10) == shown


def test_what_cannot_be_written_is_named() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert shorten(nested) == "a list too large to show"
    assert shorten(10**5_000) == "a int too large to show"
    while nested:
        nested = nested.pop()  # type: ignore[assignment]
