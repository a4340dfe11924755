"""Group types: a project has five, and keeps each for ever."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import DamagedFile, GroupTypesRefused
from posthog_assets.core.schemas import GROUP_TYPES_KEY
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.import_group_types import check_day_group_types, declared_group_types
from posthog_assets.pipeline.preview.markdown import sentences
from posthog_assets.pipeline.preview.preview import preview_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage.layout import events_path, group_types_path
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer, Reply

DAY, NEXT = date(2024, 3, 1), date(2024, 3, 2)


def write(folder: Path, groups: dict[str, Any], day: date = DAY, event: str = "buy") -> None:
    (folder / "exports").mkdir(exist_ok=True)
    call = {
        "messageId": f"{day} {event}", "type": "track", "event": event, "userId": "ann",
        "properties": {"$groups": groups}, "timestamp": f"{day}T10:00:00Z",
    }  # fmt: skip
    (folder / f"exports/{day}.jsonl").write_text(json.dumps(call) + "\n")


def segment(folder: Path, url: str = "http://127.0.0.1:9", *, key: bool = True, **changes: Any) -> Import:
    destination: dict[str, Any] = {"host": url, "project_api_key": "phc_any", "protocol": "v1"}
    destination |= {"personal_api_key": "phx_any", "project_id": "1"} if key else {}
    destination |= changes.pop("destination", {})
    return small_import(folder, dialect={"type": "segment"}, destination=destination, **changes)


def mapped(imp: Import, day: date = DAY) -> list[str]:
    export_day(imp, day)
    stage_day(imp, day)
    return transform_day(imp, day).group_types


def delivered(imp: Import, day: date = DAY) -> DeliveryReport:
    mapped(imp, day)
    return deliver_day(imp, day)


def test_a_new_group_type_is_named_and_nothing_is_sent_until_it_is_asked_for(tmp_path: Path, sandbox: Any) -> None:
    write(tmp_path, {"company": "acme", "team": 7})
    with pytest.raises(GroupTypesRefused) as refused:
        delivered(segment(tmp_path, sandbox.url))
    assert "does not have the group types company, team (it has none)" in str(refused.value)
    assert "destination.new_group_types: [company, team]" in str(refused.value)
    assert sandbox.stats()["events_received"] == 0
    asked = segment(tmp_path, sandbox.url, destination={"new_group_types": ["company", "team"]})
    assert delivered(asked).acknowledged == 1
    # Now the project has them, and they need not be asked for again.
    write(tmp_path, {"company": "acme"}, NEXT)
    assert delivered(segment(tmp_path, sandbox.url), NEXT).acknowledged == 1
    assert declared_group_types(asked) == ["company", "team"]


def test_a_day_that_has_nothing_to_send_is_not_asked_about(tmp_path: Path, shared_sandbox: Any) -> None:
    write(tmp_path, {"company": "acme"})
    assert delivered(segment(tmp_path, shared_sandbox.url, destination={"new_group_types": ["company"]})).sent == 1
    before = shared_sandbox.stats()["requests"]
    assert delivered(segment(tmp_path, shared_sandbox.url)).sent == 0
    assert shared_sandbox.stats()["requests"] == before


def test_a_sixth_group_type_is_refused_though_it_was_asked_for(tmp_path: Path, sandbox: Any) -> None:
    write(tmp_path, dict.fromkeys("abcd", "key"))
    assert delivered(segment(tmp_path, sandbox.url, destination={"new_group_types": list("abcd")})).acknowledged == 1
    write(tmp_path, {"e": "key", "f": "key"}, NEXT)
    with pytest.raises(GroupTypesRefused, match="at most 5 group types .* name e, f, and the project has a, b, c, d"):
        delivered(segment(tmp_path, sandbox.url, destination={"new_group_types": ["e", "f"]}), NEXT)


def test_without_a_personal_key_the_types_of_all_days_together_count(tmp_path: Path, shared_sandbox: Any) -> None:
    imp = segment(tmp_path, shared_sandbox.url, key=False)
    write(tmp_path, dict.fromkeys("abcd", "key"))
    assert delivered(imp).acknowledged == 1
    write(tmp_path, {"e": "key", "f": "key"}, NEXT)
    with pytest.raises(GroupTypesRefused, match="drops the groups of others without an error"):
        delivered(imp, NEXT)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(403, b'{"detail": "API key missing required scope"}'), "the personal key needs the scope query:read"),
        (Reply(400, b'{"detail": "unknown table"}'), "this PostHog cannot be asked for its group types"),
    ],
)
def test_a_project_that_is_not_asked_is_named_and_the_types_of_all_days_together_count(
    reply: Reply, words: str, tmp_path: Path
) -> None:
    with CaptureServer(lambda asked: reply if asked.path.endswith("/query/") else None) as server:
        imp = segment(tmp_path, server.url)
        write(tmp_path, dict.fromkeys("abcd", "key"))
        report = delivered(imp)
        assert (report.acknowledged, words in report.group_types_unchecked) == (1, True)
        write(tmp_path, {"e": "key", "f": "key"}, NEXT)
        with pytest.raises(GroupTypesRefused, match="the events name a, b, c, d, e, f"):
            delivered(imp, NEXT)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(401, b'{"detail": "Invalid personal API key"}'), "refused a look (HTTP 401: Invalid personal API key)"),
        (Reply(403, b'{"detail": "API key missing required scope"}'), "the personal key needs the scope query:read"),
        (Reply(400, b'{"detail": "unknown table"}'), "this PostHog cannot be asked for its group types"),
    ],
)
def test_a_preview_says_why_the_project_was_not_asked_for_its_group_types_and_goes_on(
    reply: Reply, words: str, tmp_path: Path
) -> None:
    write(tmp_path, {"company": "acme"})
    with CaptureServer(lambda asked: reply) as server:
        seen = preview_day(segment(tmp_path, server.url), DAY)
    (sentence,) = (words for words in sentences(seen) if words.startswith("The group types that the project has"))
    assert words in sentence
    assert (seen.to_send, seen.group_types) == (1, [])


@pytest.mark.parametrize("content", [b"", b'["a"', b"{}", b"[1]"])
def test_a_damaged_list_of_the_types_that_were_sent_is_named_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    imp = segment(tmp_path, key=False)
    imp.store.write_bytes(group_types_path(), content)
    with pytest.raises(DamagedFile, match="imported_batches/group_types.json, which lists .* Delete it") as raised:
        declared_group_types(imp)
    assert str(imp.store.path(group_types_path())) in str(raised.value)


def test_types_of_a_day_that_is_sent_at_the_same_time_count_and_stay(tmp_path: Path) -> None:
    imp = segment(tmp_path, key=False)
    with ThreadPoolExecutor(1) as other:
        with imp.store.brief_lock("group-types"):
            checked = other.submit(check_day_group_types, imp, NEXT, '["e", "f"]')
            imp.store.write_bytes(group_types_path(), b'["a", "b", "c", "d"]')
        with pytest.raises(GroupTypesRefused, match="the events name a, b, c, d, e, f"):
            checked.result()
    check_day_group_types(imp, NEXT, '["d", "e"]')
    assert declared_group_types(imp) == ["a", "b", "c", "d", "e"]


def test_group_types_get_other_names_or_are_left_out(tmp_path: Path, shared_sandbox: Any) -> None:
    write(tmp_path, {"company": "acme", "Company": "acme2", "tmp": 1})
    imp = segment(tmp_path, shared_sandbox.url, mapping={"groups": {"Company": "company", "tmp": None}}, key=False)
    assert mapped(imp) == ["company"]
    deliver_day(imp, DAY)
    assert {"company": "acme2"} in [event[4].get("$groups") for event in shared_sandbox.events()]


def test_a_group_call_of_a_type_that_is_left_out_is_left_out_on_purpose(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    call = {"messageId": "1", "type": "group", "userId": "ann", "groupId": "acme", "timestamp": "2024-03-01T10:00:00Z"}
    (tmp_path / f"exports/{DAY}.jsonl").write_text(json.dumps(call) + "\n")
    assert mapped(segment(tmp_path)) == ["company"]
    imp = segment(tmp_path, mapping={"groups": {"company": None}})
    export_day(imp, DAY)
    stage_day(imp, DAY)
    report = transform_day(imp, DAY)
    assert (report.group_types, report.reject_reasons) == ([], {"left out": 1})


def test_calls_about_groups_that_come_from_a_posthog_are_renamed_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    call = {
        "uuid": "018df1b0-0000-7000-8000-000000000001", "event": "$groupidentify", "distinct_id": "$account_acme",
        "timestamp": f"{DAY}T10:00:00Z",
        "properties": {"$group_type": "account", "$group_key": "acme", "$group_set": {"plan": "gold"}},
    }  # fmt: skip
    (tmp_path / f"exports/{DAY}.jsonl").write_text(json.dumps(call) + "\n")

    def report(groups: dict[str, str | None]) -> Any:
        imp = small_import(tmp_path, dialect={"type": "posthog"}, mapping={"groups": groups})
        export_day(imp, DAY)
        stage_day(imp, DAY)
        return transform_day(imp, DAY)

    assert report({"account": "company"}).group_types == ["company"]
    left_out = report({"account": None})
    assert (left_out.group_types, left_out.reject_reasons) == ([], {"left out": 1})


def test_only_events_that_are_sent_name_a_type_and_their_file_says_which(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write(tmp_path, {"company": "acme"})
    assert mapped(segment(tmp_path, mapping={"events": {"buy": None}})) == []
    imp = segment(tmp_path)
    assert mapped(imp) == ["company"]
    with imp.store.open(events_path(DAY)) as file:
        assert pq.read_metadata(file).metadata[GROUP_TYPES_KEY] == b'["company"]'


def test_the_preview_says_that_the_day_would_be_refused(tmp_path: Path, sandbox: Any) -> None:
    write(tmp_path, {"company": "acme"})
    words = [words for words in sentences(preview_day(segment(tmp_path, sandbox.url), DAY)) if "group types" in words]
    assert len(words) == 1
    assert words[0].startswith("Importing this day stops before anything is sent: the project does not have")
