"""A day before anything is sent: samples, totals, names, what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.preview.markdown import markdown
from posthog_assets.pipeline.preview.preview import preview_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.records.shop import DAY, write_import


def test_a_preview_counts_everything_and_sends_nothing(project: Path) -> None:
    with CaptureServer() as server:
        seen = preview_day(write_import(project, server.url), DAY)
        assert server.requests == []
    assert (seen.raw_records, seen.to_send, seen.requests, seen.settled) == (5, 2, 1, 0)
    assert seen.events_by_name == {"page": 3, "heartbeat": 1}
    assert seen.rejected == {
        "timestamp cannot be read": 1,
        "distinct_id is one PostHog gives no person": 1,
        "excluded by mapping.events": 1,
    }
    assert seen.new_names.unseen == "destination.personal_api_key and project_id are not set"
    assert 400 < seen.bytes < 2_000


def test_samples_show_each_name_and_each_reason_before_any_twice(project: Path) -> None:
    imp = write_import(project, "http://127.0.0.1:9")
    samples = preview_day(imp, DAY, 4).samples
    assert [(sample.place or ("", 0))[1] for sample in samples] == [1, 2, 3, 4]
    good, unreadable, *_ = samples
    assert good.before == {"id": "1", "user": "ann", "at": "2024-03-01T10:00:00Z", "what": "page"}
    assert good.after is not None
    assert (good.after["event"], good.after["distinct_id"]) == ("page", "ann")
    assert (unreadable.after, unreadable.reason) == (None, "timestamp cannot be read: 'not a time'")
    assert unreadable.before["at"] == "not a time"
    assert len(preview_day(imp, DAY, 1).samples) == 1


def test_what_is_settled_is_not_counted_again_and_rates_give_a_time(project: Path) -> None:
    with CaptureServer() as server:
        imp = write_import(project, server.url)
        for step in (export_day, stage_day, transform_day, deliver_day):
            step(imp, DAY)
        slow = {"host": server.url, "project_api_key": "phc_any", "max_events_per_second": 0.5}
        changed = write_import(project, server.url, mapping={}, destination=slow)
        seen = preview_day(changed, DAY)
    assert (seen.settled, seen.to_send, seen.changed, seen.moved) == (2, 1, 0, 0)
    assert seen.seconds_at_rate == 2


def test_names_the_project_does_not_know_are_listed(project: Path, shared_sandbox: Any) -> None:
    looking = {"host": shared_sandbox.url, "project_api_key": "phc_any", "personal_api_key": "phx_any", "project_id": 1}
    live = write_import(project, shared_sandbox.url, name="live", destination=looking)
    for step in (export_day, stage_day, transform_day, deliver_day):
        step(live, DAY)
    extra = {"properties": {"add": {"colour never seen": "red"}}, "events": {"page": None}}
    names = preview_day(write_import(project, shared_sandbox.url, destination=looking, mapping=extra), DAY).new_names
    assert names.events == ["heartbeat"]
    assert names.properties == ["colour never seen"]


def test_fields_that_the_dialect_does_not_know_are_counted(project: Path) -> None:
    imp = write_import(project, "http://127.0.0.1:9")
    with (project / f"exports/{DAY}.jsonl").open("a") as lines:
        lines.write('{"id":"9","user":"ann","at":"2024-03-01T10:00:00Z","what":"page","more":1}\n')
    chosen = imp.dialect.model_copy(update={"properties": ["size"]})
    seen = preview_day(imp.model_copy(update={"dialect": chosen}), DAY)
    assert seen.fields_left_out == {"more": 1}
    assert "field left out" in markdown(seen)
