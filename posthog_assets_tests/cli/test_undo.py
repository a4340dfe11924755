"""Taking an import back: the query and the uuids PostHog deletes by, and what the ledger says afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets.destination.query_client import QueryClient
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.verify import verify_day
from posthog_assets_tests.records.shop import DAY, invoke, write_import


def destination(sandbox: Any) -> dict[str, Any]:
    return {
        "host": sandbox.url, "project_api_key": "phc_any", "personal_api_key": "phx_any", "project_id": "1",
        "landing_seconds": 5,
    }  # fmt: skip


def imported(project: Path, sandbox: Any, name: str = "shop") -> Import:
    imp = write_import(project, sandbox.url, name=name, destination=destination(sandbox))
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    assert deliver_day(imp, DAY).acknowledged == 2
    return imp


def uuids_in(imp: Import, query: str) -> set[str]:
    return {row[0] for row in QueryClient(imp.destination).ask(query).rows}


def test_the_query_and_the_file_name_exactly_the_imported_events(project: Path, sandbox: Any, tmp_path: Path) -> None:
    imp = imported(project, sandbox)
    result = invoke(project, "undo", "shop", "--output", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "PostHog has 2 events of these days now." in result.output
    query = (tmp_path / "out/shop-undo.sql").read_text()
    uuids = (tmp_path / "out/shop-undo-uuids.txt").read_text().split()
    assert len(uuids) == 2
    assert uuids_in(imp, query.replace("SELECT uuid", "SELECT toString(uuid)")) == set(uuids)
    assert "properties.$import_day >= '2024-03-01' AND properties.$import_day <= '2024-03-01'" in query


def test_nothing_is_marked_while_posthog_still_has_the_events(project: Path, sandbox: Any, tmp_path: Path) -> None:
    imp = imported(project, sandbox)
    result = invoke(project, "undo", "shop", "--mark", "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "Nothing was marked: PostHog still has 2 of the events" in result.output
    assert deliver_day(imp, DAY).sent == 0


def test_marked_events_are_owed_and_sent_again_under_the_same_uuids(
    project: Path, sandbox: Any, shared_sandbox: Any, tmp_path: Path
) -> None:
    # Other tests have an import called shop in the sandbox that they share.
    imported(project, sandbox, "undone")
    before = set((tmp_path / "out").glob("*"))
    # Another PostHog that has nothing of it stands for the project after the deletion.
    emptied = write_import(project, shared_sandbox.url, name="undone", destination=destination(shared_sandbox))
    result = invoke(project, "undo", "undone", "--mark", "--output", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "2 events are owed again" in result.output
    landing = verify_day(emptied, DAY)
    assert landing is not None
    assert (landing.acknowledged, landing.landed) == (0, 0)
    assert deliver_day(emptied, DAY).sent == 2
    uuids = set((tmp_path / "out/undone-undo-uuids.txt").read_text().split())
    assert before == set()
    query = "SELECT toString(uuid) FROM events WHERE properties.$import_job_id = 'undone'"
    assert uuids_in(emptied, query) == uuids


def test_after_marking_the_look_finds_what_was_not_deleted(project: Path, sandbox: Any) -> None:
    from posthog_assets.pipeline.upkeep.undo import mark_undone

    imp = imported(project, sandbox)
    assert mark_undone(imp, [DAY]) == 2
    landing = verify_day(imp, DAY)
    assert landing is not None
    assert landing.by_event == {"page": (0, 2)}


@pytest.mark.parametrize("mark", [(), ("--mark",)])
def test_an_import_without_acknowledged_events_has_nothing_to_take_back(
    mark: tuple[str, ...], project: Path, tmp_path: Path
) -> None:
    write_import(project, "http://127.0.0.1:9")
    result = invoke(project, "undo", "shop", "--output", str(tmp_path / "out"), *mark)
    assert result.exit_code == 1
    assert "there is nothing to take back" in result.output
    assert list((tmp_path / "out").iterdir()) == []


def test_events_whose_file_was_pruned_are_counted_without_a_name(project: Path, sandbox: Any, tmp_path: Path) -> None:
    imp = imported(project, sandbox)
    imp.store.delete("posthog_events/2024-03-01.parquet")
    result = invoke(project, "undo", "shop", "--output", str(tmp_path / "out"))
    assert "(posthog_events is pruned)" in result.output
    assert len((tmp_path / "out/shop-undo-uuids.txt").read_text().split()) == 2
