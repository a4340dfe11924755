"""Vendors' files through every step into the sandbox; the oracle reads the files by itself."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.import_file import Import
from posthog_assets.rejections import rejections
from posthog_assets.steps import deliver_day, export_day, stage_day, transform_day
from posthog_assets_tests.dialects.test_matomo import ACTION, EVENT, VISIT
from posthog_assets_tests.test_end_to_end import destination, milliseconds

DAY = date(2024, 3, 1)


def an_import(tmp_path: Path, sandbox: Any, dialect: str, path: str, **source: Any) -> Import:
    return Import.read(
        {
            "name": dialect,
            "start_date": DAY.isoformat(),
            "storage": str(tmp_path / "data"),
            "source": {"type": "files", "path": str(tmp_path / path)} | source,
            "dialect": {"type": dialect},
            "destination": destination(sandbox),
        }
    )


NAMES = {"page": "$pageview", "screen": "$screen", "group": "$groupidentify", "alias": "$create_alias"}


def event_of(message: dict[str, Any]) -> tuple[str, str, int] | None:
    """Return event, distinct_id and time of a message in epoch ms; None where PostHog cannot have it."""
    kind = message["type"].lower()
    user, anonymous = message.get("userId"), message.get("anonymousId")
    name, who = NAMES.get(kind, message.get("event")), user if kind == "alias" else user or anonymous
    if kind == "identify":
        name = "$identify" if user else "$set"
    elif kind == "group":
        who = who or f"$company_{message['groupId']}"
        if not message.get("groupId"):
            return None
    elif kind == "alias" and (message.get("previousId") or anonymous) in (None, "", user):
        return None
    stamp = message.get("timestamp") or message.get("originalTimestamp")
    if not who or not isinstance(name, str) or not name or not stamp or stamp == "NOW":
        return None
    if isinstance(message.get("properties"), list):
        return None
    if isinstance(stamp, int):
        return name, str(who), stamp
    moment = datetime.fromisoformat(stamp)
    return name, str(who), milliseconds(moment if moment.tzinfo else datetime.fromisoformat(stamp + "+00:00"))


def said_by(message: dict[str, Any]) -> str:
    """Return what a message says, without what only tells how it was delivered."""
    traits = message.get("traits") if message["type"].lower() in ("identify", "group") else None
    return json.dumps([message.get("properties"), traits, message.get("previousId")], sort_keys=True)


@pytest.mark.parametrize("dialect", ["segment", "rudderstack"])
def test_every_message_of_all_six_calls_lands_or_is_rejected_with_a_reason(
    dialect: str, tmp_path: Path, sandbox: Any, real_data: Callable[[str], Path]
) -> None:
    lines = real_data("segment-spec.jsonl").read_text()
    (tmp_path / f"{DAY}.jsonl").write_text(lines)
    imp = an_import(tmp_path, sandbox, dialect, "{day}.jsonl")
    export_day(imp, DAY)
    staged, mapped, delivered = stage_day(imp, DAY), transform_day(imp, DAY), deliver_day(imp, DAY)
    messages = [json.loads(line) for line in lines.splitlines()]
    expected: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for message in messages:
        if found := event_of(message):
            expected[(*found, message.get("messageId"))].append(said_by(message))
    landed: Counter[tuple[Any, ...]] = Counter()
    derived = 0
    for _, event, who, at, properties in sandbox.events():
        source = properties["$import_source_id"]
        # Those of derived events name the pair they link.
        is_derived = source.startswith("[")
        derived += is_derived
        if not is_derived:
            landed[event, who, milliseconds(at), None if source.startswith("content:") else source] += 1
    rows = [row for batch in rejections(imp.store, DAY) for row in batch.to_pylist()]
    repeats = sum(row["reason"].startswith("repeats an earlier record") for row in rows)
    assert len(messages) == staged.rows == 532
    assert landed.keys() == expected.keys()
    for key, said in expected.items():
        # Messages that say different things all land, whatever ids they share; those without an id always do.
        assert len(set(said)) <= landed[key] <= len(said)
        assert key[-1] is not None or landed[key] == len(said)
    assert landed.total() + repeats == sum(map(len, expected.values()))
    assert landed.total() + len(rows) == 532
    assert all(row["reason"] for row in rows)
    # Of 42 pairs twelve share a device with an earlier user.
    assert derived == mapped.derived == (30 if dialect == "segment" else 0)
    assert delivered.acknowledged == landed.total() + derived == sandbox.stats()["rows_final"]


def test_visits_of_matomo_land_as_their_actions(tmp_path: Path, sandbox: Any) -> None:
    visits = [
        VISIT | {"idVisit": number, "visitorId": f"v-{number}", "userId": None, "actionDetails": [ACTION, EVENT, goal]}
        for number, goal in ((1, {"type": "goal", "timestamp": 1709287261}), (2, ACTION | {"pageId": "72"}))
    ]
    (tmp_path / f"{DAY}.json").write_text(json.dumps(visits))
    imp = an_import(tmp_path, sandbox, "matomo", "{day}.json", unfold="actionDetails")
    manifest = export_day(imp, DAY)
    staged = stage_day(imp, DAY)
    transform_day(imp, DAY)
    delivered = deliver_day(imp, DAY)
    assert [part.records for part in manifest.parts] == [6]
    assert (staged.rows, staged.raw_records, staged.rejected, delivered.acknowledged) == (6, 6, 1, 5)
    assert Counter((event, who) for _, event, who, _, _ in sandbox.events()) == {
        ("$pageview", "v-1"): 1,
        ("item added", "v-1"): 1,
        ("$pageview", "v-2"): 2,
        ("item added", "v-2"): 1,
    }
