"""The import file as a whole: what its parts must agree in and where an import lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.config.import_file import default_storage
from posthog_assets.storage.store import Store
from posthog_assets_tests.conftest import small_import


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "2fast"}, "name '2fast' must be a letter followed by letters, digits and underscores"),
        ({"name": "a" * 65}, "at most 64"),
        ({"owners": ["someone"]}, "owners: someone must be a mail address, or team: and a name"),
        ({"end_date": "2024-02-29"}, "end_date 2024-02-29 lies before start_date 2024-03-01"),
        ({"since": "2024-03-02T00:00:00Z", "until": "2024-03-02T01:00:00+01:00"}, "does not lie after since"),
        ({"since": "2024-03-02T00:00:00"}, "since"),
        ({"end_date": "2024-03-09", "automation": {"daily": True}}, "an import going that has no end_date"),
    ],
)
def test_parts_that_contradict_each_other_are_refused_with_the_reason(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ImportFileError, match="^the import file is wrong:") as found:
        small_import(tmp_path, **changes)
    assert words in str(found.value)


@pytest.mark.parametrize("section", ["source", "dialect"])
def test_a_section_that_is_missing_is_named(section: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=f"- {section}: is required and missing$"):
        small_import(tmp_path, **{section: None})


@pytest.mark.parametrize(("variable", "storage"), [(None, "data"), ("", "data"), ("s3://bucket/x", "s3://bucket/x")])
def test_where_imports_are_stored_is_the_environments_choice(
    variable: str | None, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POSTHOG_ASSETS_STORAGE", raising=False)
    if variable is not None:
        monkeypatch.setenv("POSTHOG_ASSETS_STORAGE", variable)
    assert default_storage() == storage


def test_an_import_has_one_store_and_its_copy_elsewhere_another(tmp_path: Path) -> None:
    imp = small_import(tmp_path)
    elsewhere = Store(str(tmp_path / "other"), "small")
    copy = imp.stored_in(elsewhere, "owner")
    assert imp.store is imp.store
    assert (copy.store, copy.raw_owner) == (elsewhere, "owner")
    assert (imp.store is elsewhere, imp.raw_owner) == (False, "small")


def test_only_what_makes_other_events_changes_the_version(tmp_path: Path) -> None:
    version = small_import(tmp_path).mapping_version
    assert small_import(tmp_path, owners=["team:data"], retention={"raw_export": 9}).mapping_version == version
    assert small_import(tmp_path, until="2024-03-09T00:00:00Z").mapping_version != version
