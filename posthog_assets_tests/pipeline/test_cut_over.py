"""The instants from which and up to which an import has events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.config.rejects import Lost, Verdict
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.preview.markdown import sentences
from posthog_assets.pipeline.preview.preview import preview_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.upstream import stored_events
from posthog_assets_tests.conftest import small_import

DAY = date(2024, 3, 1)


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    (tmp_path / "exports").mkdir()
    hours = ["00:00:00", "11:59:59.999999", "12:00:00", "12:00:00.000001"]
    records = [{"id": n, "user": "ann", "at": f"2024-03-01T{at}Z", "what": "edit"} for n, at in enumerate(hours)]
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(json.dumps(record) for record in records))
    return tmp_path


def mapped(folder: Path, **limits: Any) -> Iterator[tuple[str, str | None]]:
    imp = small_import(folder, **limits)
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    for batch in stored_events(imp.store, DAY):
        yield from ((row["source_id"], row["reject_reason"]) for row in batch.to_pylist())


def test_an_event_at_the_instant_of_until_is_left_to_live_tracking(exports: Path) -> None:
    assert list(mapped(exports, until="2024-03-01T13:00:00+01:00")) == [
        ("0", None),
        ("1", None),
        ("2", "timestamp is not before until: 2024-03-01T12:00:00+00:00"),
        ("3", "timestamp is not before until: 2024-03-01T12:00:00.000001+00:00"),
    ]


def test_an_event_at_the_instant_of_since_is_imported(exports: Path) -> None:
    assert list(mapped(exports, since="2024-03-01T12:00:00Z")) == [
        ("0", "timestamp is before since: 2024-03-01T00:00:00+00:00"),
        ("1", "timestamp is before since: 2024-03-01T11:59:59.999999+00:00"),
        ("2", None),
        ("3", None),
    ]


def test_the_preview_says_how_many_events_lie_beyond(exports: Path) -> None:
    seen = preview_day(small_import(exports, since="2024-03-01T01:00:00Z", until="2024-03-01T12:00:00Z"), DAY)
    assert seen.to_send == 1
    assert "3 of them lie outside since and until, and are left to another import or to live tracking." in list(
        sentences(seen)
    )


def test_what_lies_beyond_is_left_out_on_purpose_and_fails_no_day(exports: Path) -> None:
    imp = small_import(exports, until="2024-02-01T00:00:00Z")
    export_day(imp, DAY)
    stage_day(imp, DAY)
    reasons = transform_day(imp, DAY).reject_reasons
    assert reasons == {"timestamp is not before until": 4}
    assert imp.rejects.judge(Lost.of(4, reasons, {"timestamp is before since": 0})) is Verdict.FINE


def test_a_link_that_is_first_seen_beyond_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    record = {"id": 1, "user": "ann", "device": "d", "at": "2024-03-01T13:00:00Z", "what": "edit"}
    (tmp_path / f"exports/{DAY}.jsonl").write_text(json.dumps(record))
    dialect = {
        "type": "columns", "event": {"column": "what"}, "user_id": {"column": "user"},
        "anonymous_id": {"column": "device"}, "timestamp": {"column": "at"}, "source_id": {"column": "id"},
    }  # fmt: skip
    reasons = dict(mapped(tmp_path, dialect=dialect, until="2024-03-01T12:00:00Z"))
    assert reasons == dict.fromkeys(["1", None], "timestamp is not before until: 2024-03-01T13:00:00+00:00")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"until": "2024-03-01T12:00:00"}, "until: Input should have timezone info"),
        ({"since": "2024-03-01"}, "since: Input should have timezone info"),
        (
            {"since": "2024-03-02T00:00:00Z", "until": "2024-03-01T00:00:00Z"},
            "until 2024-03-01T00:00:00[+]00:00 does not lie after since 2024-03-02T00:00:00[+]00:00",
        ),
    ],
)
def test_an_instant_without_zone_or_in_the_wrong_order_is_refused(
    limits: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ImportFileError, match=words):
        small_import(tmp_path, **limits)


def test_one_instant_in_two_zones_is_one_version_of_the_mapping(tmp_path: Path) -> None:
    versions = {
        small_import(tmp_path, until=until).mapping_version
        for until in ("2024-03-01T12:00:00Z", "2024-03-01T13:00:00+01:00")
    }
    assert len(versions) == 1
    assert small_import(tmp_path).mapping_version not in versions
