"""A day taken through the present settings without leaving a trace."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from posthog_assets.core.errors import MissingUpstream
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.preview.dry_run import dry_run, imported_versions
from posthog_assets.storage.layout import events_path, manifest_path, staged_path
from posthog_assets_tests.conftest import small_import

DAY = date(2024, 3, 1)


def importing(tmp_path: Path) -> Import:
    (tmp_path / "exports").mkdir()
    lines = ['{"id":"1","user":"ann","at":"2024-03-01T10:00:00Z","what":"page"}', '{"id":"2","at":"soon"}']
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(lines) + "\n")
    return small_import(tmp_path)


def test_only_the_raw_export_is_kept(tmp_path: Path) -> None:
    imp = importing(tmp_path)
    with dry_run(imp, DAY) as run:
        assert (run.staging.rows, run.staging.rejected, run.mapping.rows) == (2, 1, 1)
        assert run.imp.store.exists(events_path(DAY))
        assert not imp.store.exists(events_path(DAY))
    assert imp.store.exists(manifest_path(DAY))
    assert not imp.store.exists(staged_path(DAY))


def test_of_a_day_without_a_ledger_everything_is_new(tmp_path: Path) -> None:
    with dry_run(importing(tmp_path), DAY) as run:
        report = run.delivery()
    assert (report.events, report.already_acknowledged, report.changed) == (1, 0, 0)


def test_the_raw_export_of_another_import_is_not_fetched(tmp_path: Path) -> None:
    imp = importing(tmp_path)
    other = imp.stored_in(imp.store, "owner")
    with pytest.raises(MissingUpstream, match="owner"), dry_run(other, DAY):
        pass


def test_a_day_that_was_never_imported_was_made_by_no_version(tmp_path: Path) -> None:
    assert imported_versions(small_import(tmp_path), DAY) == []
