"""A wrong import file is quoted, but not the credentials in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError, SourceError
from posthog_assets.core.field_errors import is_credential
from posthog_assets.core.secrets import without_credentials
from posthog_assets.core.sections import Section
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.conftest import small_attributes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:s3cret@files.example.com/a.csv", "https://user:***@files.example.com/a.csv"),
        ("postgresql://u:p@ss/w:rd@db.example.com:5432/shop", "postgresql://u:***@db.example.com:5432/shop"),
        ("s3://AKIAIOSFODNN7EXAMPLE:wJalr/XUtn@bucket/x", "s3://AKIA***:***@bucket/x"),
        ("(found 'phx_abcdefghijkl')", "(found 'phx_***')"),
        ("https://b.example.com/f?X-Amz-Signature=0a1b2c&x=1", "https://b.example.com/f?X-Amz-Signature=***&x=1"),
        ("secret=hunter2hunter2, region=eu", "secret=***, region=eu"),
        ("destination.project_api_key: must begin with phc_", "destination.project_api_key: must begin with phc_"),
        ("https://eu.i.posthog.com:443/batch/", "https://eu.i.posthog.com:443/batch/"),
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str, shown: str) -> None:
    assert without_credentials(text) == shown
    assert str(SourceError(text)) == shown


@pytest.mark.parametrize(
    "changes",
    [
        {"source": {"type": "files", "path": ["https://user:hunter2secret@example.com/{day}.csv"], "format": "nope"}},
        {"source": {"type": "sql", "dsn": "postgresql://u:hunter2secret@db/shop"}},
        {"destination": {"auth": "hunter2secret"}},
        {"destination": {"host": "phx_hunter2secret"}},
        {"storage_options": "secret=hunter2secret"},
        {"storage": 7, "destination": {"host": "https://u:hunter2secret@[bad"}},
    ],
)
def test_a_wrong_import_file_is_explained_without_its_secrets(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ImportFileError) as raised:
        Import.read(small_attributes(tmp_path, **changes))
    assert "hunter2secret" not in str(raised.value)


#: Fields whose names sound like a credential and that hold none: names of fields and headers, a number, an address.
NO_SECRETS = {
    "primary_key", "key_field", "cursor_key", "links_next_key", "default_token_expiration", "access_token_url",
    "OneEvent.key", "auth",
}  # fmt: skip


def sections(base: type[Section] = Section) -> Iterator[type[Section]]:
    for one in base.__subclasses__():
        if one.__module__.startswith("posthog_assets."):
            yield one
        yield from sections(one)


def test_every_field_that_holds_a_credential_is_a_secret_or_is_never_shown() -> None:
    wrong = []
    for section in sections():
        for name, field in section.model_fields.items():
            is_named = is_credential(name) and not NO_SECRETS & {name, f"{section.__name__}.{name}"}
            if is_named and field.repr and "SecretStr" not in str(field.annotation):
                wrong.append(f"{section.__name__}.{name}")
    assert wrong == []


def test_an_import_shows_none_of_its_credentials() -> None:
    attributes = small_attributes(Path("/nowhere")) | {
        "source": {
            "type": "files",
            "path": "s3://me:hunter2@bucket/{day}.jsonl",
            "storage_options": {"secret": "hunter2", "client_kwargs": {"aws_session_token": "hunter2"}},
        },
        "storage": "s3://me:hunter2@bucket/data",
        "destination": {"host": "https://me:hunter2@h.example", "project_api_key": "phc_hunter2"},
    }
    imp = Import.model_validate(attributes)
    assert "hunter2" not in repr(imp)
    assert "hunter2" not in str(imp)
    assert "bucket/{day}.jsonl" in repr(imp)
