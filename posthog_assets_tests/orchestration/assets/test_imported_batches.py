"""What imported_batches says of a day besides its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg

from posthog_assets_tests.conftest import small_attributes, small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply
from posthog_assets_tests.pipeline.test_whole_way import STEPS, materialize

RECORDS = [{"id": n, "user": "ann", "at": f"2024-03-01T10:00:0{n}Z", "what": "page"} for n in range(3)]


def write(tmp_path: Path, *records: dict[str, object]) -> None:
    (tmp_path / "exports").mkdir(exist_ok=True)
    (tmp_path / "exports/2024-03-01.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def test_events_that_are_acknowledged_and_gone_from_the_day_are_a_warning_with_their_number(tmp_path: Path) -> None:
    with CaptureServer() as server:
        imp = small_import(tmp_path, destination={"host": server.url, "project_api_key": "phc_any"})

        def orphans() -> dg.AssetCheckEvaluation:
            result = materialize(imp, "2024-03-01", *STEPS[:4])
            assert result.success
            (found,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "nothing_orphaned"]
            return found

        write(tmp_path, *RECORDS)
        assert (orphans().passed, len(server.stored)) == (True, 3)
        # One event leaves the source, another one becomes an event of another id.
        write(tmp_path, RECORDS[0], RECORDS[1] | {"id": 7})
        found = orphans()
    assert (found.passed, found.severity, found.metadata["orphaned"].value) == (False, dg.AssetCheckSeverity.WARN, 2)
    assert (found.description or "").startswith(
        "2 events that PostHog acknowledged are no longer among the day's events, and stay there"
    )
    assert "posthog-assets changes small --from 2024-03-01 --to 2024-03-01 --every" in (found.description or "")


def test_group_types_that_were_not_checked_are_in_the_metadata_with_the_scope_that_is_missing(tmp_path: Path) -> None:
    write(tmp_path, RECORDS[0] | {"firm": "acme"})
    with CaptureServer(lambda asked: Reply(403, b"no scope") if asked.path.endswith("/query/") else None) as server:
        dialect = small_attributes(tmp_path)["dialect"] | {"groups": {"company": {"column": "firm"}}}
        destination = {
            "host": server.url, "project_api_key": "phc_any", "personal_api_key": "phx_any", "project_id": "1",
        }  # fmt: skip
        imp = small_import(tmp_path, dialect=dialect, destination=destination)
        result = materialize(imp, "2024-03-01", *STEPS[:4])
    assert (result.success, len(server.stored)) == (True, 1)
    (found,) = result.asset_materializations_for_node("small__imported_batches")
    words = found.metadata["group_types_not_checked"].value
    assert str(words).endswith("refused a look (HTTP 403: no scope): the personal key needs the scope query:read")
