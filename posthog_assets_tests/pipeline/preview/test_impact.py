"""A changed mapping says what it would do to imported days, and events say which version made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import KeyWouldChange
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.records.shop import DAY, invoke, write_import


def materialize(imp: Import) -> Any:
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    return deliver_day(imp, DAY)


def asked(project: Path, *more: str) -> tuple[int, list[dict[str, Any]]]:
    result = invoke(project, "changes", "shop", "--json", *more)
    return result.exit_code, [json.loads(line) for line in result.output.splitlines()]


def files(imp: Import) -> dict[str, bytes]:
    root = Path(imp.store.root.path)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_day_of_the_present_version_is_passed_over(project: Path) -> None:
    with CaptureServer() as server:
        materialize(write_import(project, server.url))
    assert asked(project) == (0, [])
    (day,) = asked(project, "--every")[1]
    assert (day["day"], day["unchanged"], day["in_place"], day["duplicated"]) == ("2024-03-01", 2, 0, 0)


@pytest.mark.parametrize(
    ("mapping", "numbers", "code"),
    [
        ({"properties": {"add": {"shop": "x"}}, "events": {"heartbeat": None}}, (0, 2, 0, 0, 0), 0),
        ({}, (2, 0, 0, 1, 0), 0),
        ({"events": {"heartbeat": None, "page": "$pageview"}}, (0, 0, 2, 0, 0), 1),
        ({"events": {"heartbeat": None, "page": None}}, (0, 0, 0, 0, 2), 0),
    ],
    ids=["a property more", "an event more", "another name", "an event less"],
)
def test_a_change_is_counted_before_anything_is_sent(
    mapping: dict[str, Any], numbers: tuple[int, ...], code: int, project: Path
) -> None:
    with CaptureServer() as server:
        imp = write_import(project, server.url)
        materialize(imp)
        before, requests = files(imp), len(server.requests)
        changed = write_import(project, server.url, mapping=mapping)
        exit_code, (day,) = asked(project)
        assert tuple(day[name] for name in ("unchanged", "in_place", "duplicated", "new", "gone")) == numbers
        assert exit_code == code
        assert day["versions"] == [imp.mapping_version]
        assert changed.mapping_version != imp.mapping_version
        assert (files(imp), len(server.requests)) == (before, requests)
        if code:
            with pytest.raises(KeyWouldChange, match="posthog-assets changes shows what it does"):
                materialize(changed)


def test_a_change_of_the_dialect_is_a_change_too(project: Path) -> None:
    with CaptureServer() as server:
        materialize(imp := write_import(project, server.url))
        dialect = imp.dialect.model_dump(exclude_none=True) | {"properties": ["user"]}
        write_import(project, server.url, dialect=dialect)
        assert asked(project)[1][0]["in_place"] == 2


def test_every_event_says_which_version_made_it_and_that_is_no_change(project: Path) -> None:
    with CaptureServer() as server:
        materialize(first := write_import(project, server.url))
        # Another setting that leaves these events as they are.
        second = write_import(project, server.url, mapping={"events": {"heartbeat": None, "other": None}})
        report = materialize(second)
        assert (report.sent, report.already_acknowledged) == (0, 2)
        assert {event["properties"]["$import_mapping"] for event in server.stored} == {first.mapping_version}
        third = write_import(project, server.url, mapping={"markers": {"mapping": "made_by"}})
        materialize(third)
    assert [event["properties"].get("made_by") for event in server.stored[2:]] == [third.mapping_version]
    ledger = pq.read_table(third.store.path(f"imported_batches/{DAY}/ledger.parquet").path)
    assert ledger["mapping"].to_pylist() == [first.mapping_version, third.mapping_version]


def test_a_table_says_what_to_do(project: Path) -> None:
    with CaptureServer() as server:
        materialize(write_import(project, server.url))
        write_import(project, server.url, mapping={"events": {"page": "$pageview"}})
        shown = invoke(project, "changes", "shop")
    assert shown.exit_code == 1
    assert "0 of 1 imported days are of this version" in shown.output
    assert "PostHog would keep two versions for ever" in " ".join(shown.output.split())
