"""A second opinion: the import is held against what its source counts."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError, MissingUpstream
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.report.page import html
from posthog_assets.pipeline.source_counts import Row, compare_with_source, stored_comparison
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.amplitude_server import API_KEY, SECRET_KEY, AmplitudeServer, make_day
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.mixpanel_server import MixpanelServer, Sent
from posthog_assets_tests.records.shop import DAY, LINES, invoke, write_import


def run(imp: Import, day: date = DAY, *, deliver: bool = True) -> Import:
    export_day(imp, day)
    stage_day(imp, day)
    transform_day(imp, day)
    if deliver:
        deliver_day(imp, day)
    return imp


def counted(folder: Path, text: str, **settings: Any) -> Import:
    """Return a small import that is delivered, with a file of counts."""
    (folder / "exports").mkdir(exist_ok=True)
    (folder / f"exports/{DAY}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    (folder / "counts.csv").write_text(text)
    given = {"path": str(folder / "counts.csv")} | settings
    with CaptureServer() as server:
        return run(
            small_import(
                folder, source_counts=given, mapping={"events": {"heartbeat": None, "page": "Page"}},
                destination={"host": server.url, "project_api_key": "phc_any"},
            )
        )  # fmt: skip


def test_what_did_not_arrive_is_explained_by_what_was_rejected_and_left_out(tmp_path: Path) -> None:
    imp = counted(tmp_path, "day,event,count\n2024-03-01,page,4\n2024-03-01,heartbeat,1\n")
    found = compare_with_source(imp)
    assert found.rows == [
        Row(DAY, "Page", source=4, arrived=2, rejected=1, unnamed=1),
        Row(DAY, "heartbeat", source=1, left_out=1),
    ]
    assert found.differing == []
    assert found.words == "of 5 events that the source counts, 2 arrived; what became of the others is known, to 1.0%"
    assert found.not_asked == []
    assert (stored := stored_comparison(imp)) is not None
    assert stored.rows == found.rows


def test_what_nobody_can_explain_differs_in_both_directions(tmp_path: Path) -> None:
    imp = counted(
        tmp_path, '\ufeffday,event,count\n2024-03-01,page,"1,000"\n2024-03-01,heartbeat,0\n2024-03-01,buy,2\n'
    )
    assert [(row.event, row.unexplained) for row in compare_with_source(imp).differing] == [
        ("Page", 996), ("buy", 2), ("heartbeat", -1)
    ]  # fmt: skip
    assert "most of all Page of 2024-03-01: 996 fewer than the source counts" in compare_with_source(imp).words
    only = counted(tmp_path, "day,event,count\n2024-03-01,page,1000\n2024-03-01,heartbeat,1\n", events=["heartbeat"])
    assert [row.event for row in compare_with_source(only).rows] == ["heartbeat"]


def test_a_small_difference_is_tolerated(tmp_path: Path) -> None:
    text = "day,event,count\n2024-03-01,page,5\n"
    assert [row.unexplained for row in compare_with_source(counted(tmp_path, text, tolerance=0.2)).rows] == [1]
    assert compare_with_source(counted(tmp_path, text, tolerance=0.2)).differing == []
    # A file without a number for an event does not vouch for it.
    assert compare_with_source(counted(tmp_path, text, tolerance=0.2)).not_asked == ["heartbeat"]
    assert len(compare_with_source(counted(tmp_path, text, tolerance=0.1)).differing) == 1


def test_days_are_those_of_the_zone_in_which_the_source_counts(tmp_path: Path) -> None:
    text = "day,event,count\n2024-03-01,page,4\n2024-02-29,page,1\n2024-03-02,page,9\n"
    (row,) = compare_with_source(counted(tmp_path, text, timezone="Pacific/Kiritimati")).rows
    # At ten in the morning, UTC, it is the second of March there: a day of which nothing is imported.
    assert (row.source, row.arrived, row.unnamed) == (4, 0, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("day;event;count\n", "lacks the column count, day, event"),
        ("day,event,count\n2024-03-01,page,many\n", "line 2: .* is not a day"),
        ("day,event,count\nyesterday,page,1\n", "line 2: .* is not a day"),
        ("day,event,count\n2024-03-01,page\n", "line 2: .* is not a day"),
    ],
)
def test_a_wrong_file_of_counts_is_explained(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ImportFileError, match=words):
        compare_with_source(counted(tmp_path, text))


def test_what_is_missing_for_a_comparison_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="has no section source_counts"):
        compare_with_source(small_import(tmp_path))
    with pytest.raises(MissingUpstream, match="materialize it first"):
        compare_with_source(small_import(tmp_path, source_counts={"path": "counts.csv"}))
    with pytest.raises(ImportFileError, match="files does not say how many events it counts"):
        compare_with_source(counted(tmp_path, "", path=None))


def test_mixpanel_counts_what_arrived_and_notices_what_did_not(tmp_path: Path) -> None:
    with MixpanelServer(count=60) as mixpanel, CaptureServer() as posthog:
        source = {
            "type": "mixpanel", "host": mixpanel.url, "project_id": 7, "service_account": "importer.1",
            "service_account_secret": "s3cret",
        }  # fmt: skip
        imp = small_import(
            tmp_path, source=source, dialect={"type": "mixpanel"}, source_counts={},
            destination={"host": posthog.url, "project_api_key": "phc_any"},
        )  # fmt: skip
        run(imp)
        found = compare_with_source(imp)
        assert (found.differing, sum(row.arrived for row in found.rows)) == ([], 60)
        assert "$pageview" in {row.event for row in found.rows}
        mixpanel.late[DAY] = [Sent("Sign Up", "late", 1_709_290_800_000, f"late-{n}", 1) for n in range(5)]
        assert [(row.event, row.unexplained) for row in compare_with_source(imp).differing] == [("Sign Up", 5)]


def test_amplitude_counts_by_the_time_of_events_whatever_day_they_were_uploaded(tmp_path: Path) -> None:
    with AmplitudeServer(make_day(1)) as amplitude, CaptureServer() as posthog:
        source = {"type": "amplitude", "host": amplitude.url, "api_key": API_KEY, "secret_key": SECRET_KEY}
        imp = small_import(
            tmp_path, source=source, dialect={"type": "amplitude"}, source_counts={"tolerance": 0},
            destination={"host": posthog.url, "project_api_key": "phc_any"},
        )  # fmt: skip
        run(imp)
        found = compare_with_source(imp)
        assert found.differing == []
        assert {row.day for row in found.rows} == {DAY}
        assert sum(row.unnamed for row in found.rows) > 0
        asked = [request.fields for request in amplitude.requests if request.path.endswith("segmentation")]
        assert {json.loads(fields["e"])["event_type"] for fields in asked} >= {"buy", "[Amplitude] Page Viewed"}


def test_the_report_and_the_command_show_what_differs(project: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra posthog_assets[report]")
    (project / "counts.csv").write_text("day,event,count\n2024-03-01,page,40\n")
    imp = write_import(project, "http://127.0.0.1:9", source_counts={"path": str(project / "counts.csv")})
    run(imp, deliver=False)
    shown = invoke(project, "compare", "shop")
    assert shown.exit_code == 1
    assert "36 fewer than the source counts" in shown.output
    page = html("shop", [], comparison=stored_comparison(imp))
    assert "Against the source&#39;s own numbers" in page or "Against the source's own numbers" in page
    assert '<td class="number">36</td>' in page
