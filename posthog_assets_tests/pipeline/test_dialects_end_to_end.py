"""Vendors' files through every step into the sandbox; the oracle reads the files by itself."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import fastavro
import pytest

from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.day_state.rejected import rejections
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.preview.preview import preview_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.dialects.test_heap import PAGEVIEW
from posthog_assets_tests.dialects.test_matomo import ACTION, EVENT, VISIT
from posthog_assets_tests.dialects.test_pendo import CLICK
from posthog_assets_tests.dialects.test_snowplow import CONTEXTS, ENVELOPE, LINK_CLICK, enriched, self_describing
from posthog_assets_tests.pipeline.test_whole_way import destination, milliseconds

DAY = date(2024, 3, 1)


def an_import(tmp_path: Path, sandbox: Any, dialect: str, path: str, **source: Any) -> Import:
    return Import.read(
        {
            "name": dialect,
            "start_date": DAY.isoformat(),
            "storage": str(tmp_path / "data"),
            "source": {"type": "files", "path": str(tmp_path / path)} | source,
            "dialect": {"type": dialect},
            "destination": destination(sandbox, new_group_types=["company"]),
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


def write_avro(path: Path, records: list[dict[str, Any]], codec: str, **types: Any) -> None:
    """Write records as warehouses do: every field of the first one may be null; *types* are those of fields."""
    own = {bool: "boolean", int: "long", float: "double", str: "string", type(None): "string"}
    kinds = {name: types.get(name) or own[type(value)] for name, value in records[0].items()}
    fields = [{"name": name, "type": ["null", kind]} for name, kind in kinds.items()]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "row", "fields": fields}, records, codec=codec)


def test_a_day_of_pendo_lands_from_the_avro_of_data_sync(tmp_path: Path, sandbox: Any) -> None:
    moment = datetime(2024, 3, 1, 10, 0, 0, 123_000, UTC)
    other_day = datetime(2024, 3, 2, tzinfo=UTC)
    kinds = ["load", "click", "track", "guideSeen"]
    records = [
        CLICK | {"eventId": f"e-{number}", "eventType": kind, "browserTimestamp": at, "periodId": at.date()}
        for number, (kind, at) in enumerate([*((kind, moment) for kind in kinds), ("load", other_day)])
    ]
    records.append(records[0] | {"eventId": "e-6", "visitorId": None})
    write_avro(
        tmp_path / "allevents.avro", records, "snappy",
        browserTimestamp={"type": "long", "logicalType": "timestamp-millis"},
        periodId={"type": "int", "logicalType": "date"},
    )  # fmt: skip
    imp = an_import(tmp_path, sandbox, "pendo", "allevents.avro", day_column="browserTimestamp")
    manifest = export_day(imp, DAY)
    staged = stage_day(imp, DAY)
    transform_day(imp, DAY)
    delivered = deliver_day(imp, DAY)
    assert [part.records for part in manifest.parts] == [5]
    assert (staged.rows, staged.raw_records, staged.rejected, delivered.acknowledged) == (5, 5, 1, 4)
    events = sandbox.events()
    assert Counter(event for _, event, _, _, _ in events) == {
        "$pageview": 1, "$autocapture": 1, "track": 1, "guideSeen": 1,
    }  # fmt: skip
    assert {milliseconds(at) for _, _, _, at, _ in events} == {1_709_287_200_123}
    (load,) = (properties for _, event, _, _, properties in events if event == "$pageview")
    assert (load["plan"], load["$groups"], load["$import_source_id"]) == ("pro", {"company": "acme"}, "e-0")


def test_a_day_of_heap_lands_from_avro_as_it_does_from_lines(tmp_path: Path, sandbox: Any) -> None:
    rows = [
        PAGEVIEW
        | {"event_id": 3_141_592_653_589_793 + number, "time": datetime(2024, 3, 1, 10, 0, number, 123_456, UTC)}
        for number in range(3)
    ]
    write_avro(tmp_path / f"{DAY}.avro", rows, "deflate", time={"type": "long", "logicalType": "timestamp-micros"})
    imp = an_import(tmp_path, sandbox, "heap", "{day}.avro")
    seen = preview_day(imp, DAY)
    assert (seen.raw_records, seen.to_send) == (3, 4)
    assert [sample.before["time"].microsecond for sample in seen.samples if sample.before] == [123_456] * 3
    for step in (export_day, stage_day, transform_day):
        step(imp, DAY)
    delivered = deliver_day(imp, DAY)
    # Three pageviews, and one $identify of the pair.
    assert delivered.acknowledged == 4
    landed = [row for row in sandbox.events() if row[1] == "$pageview"]
    assert [at.microsecond for _, _, _, at, _ in landed] == [123_456] * 3
    assert [properties["cart"] for _, _, _, _, properties in landed] == [{"items": 2}] * 3
    assert [properties["tags"] for _, _, _, _, properties in landed] == [["a", "b"]] * 3

    lines = [json.dumps(row | {"time": row["time"].isoformat(sep=" ")[:26]}) for row in rows]
    (tmp_path / f"{DAY}.jsonl").write_text("\n".join(lines))
    same = an_import(tmp_path, sandbox, "heap", "{day}.jsonl")
    for step in (export_day, stage_day, transform_day):
        step(same, DAY)
    # The ledger knows all of them, with all they say.
    assert deliver_day(same, DAY).sent == 0


def test_a_day_of_snowplow_lands_from_the_lines_of_enrich(tmp_path: Path, sandbox: Any) -> None:
    click = self_describing(ENVELOPE, LINK_CLICK)
    lines = [
        enriched(event_id="e-0", contexts=CONTEXTS),
        enriched(event_id="e-1", event="unstruct", event_name="link_click", unstruct_event=click),
        enriched(event_id="e-2", event="struct", se_category="shop", se_action='say "hello"', se_value="12.5"),
        enriched(event_id="e-3", event="page_ping"),
        enriched(event_id="e-4").replace("\t", " ", 1),
    ]
    runs = [tmp_path / f"run={DAY}-10-00-0{number}" for number in (0, 1)]
    for run, part in zip(runs, (lines[:2], lines[2:]), strict=True):
        run.mkdir()
        (run / "part-00000.txt.gz").write_bytes(gzip.compress("".join(part).encode()))
    imp = an_import(tmp_path, sandbox, "snowplow", "run={day}-*/part-*.txt.gz", csv={"columns": "snowplow"})
    manifest = export_day(imp, DAY)
    staged, mapped, delivered = stage_day(imp, DAY), transform_day(imp, DAY), deliver_day(imp, DAY)
    assert [part.records for part in manifest.parts] == [2, 3]
    assert (staged.rows, staged.raw_records, staged.rejected, mapped.derived) == (5, 5, 2, 1)
    assert {row["reason"] for batch in rejections(imp.store, DAY) for row in batch.to_pylist()} == {
        "left out, a sign of life every few seconds, which PostHog has no use for: page_ping",
        "wrong number of fields: 130 where source.csv.columns has 131",
    }
    assert delivered.acknowledged == 4
    events = {event: (who, milliseconds(at), properties) for _, event, who, at, properties in sandbox.events()}
    assert events.keys() == {"$pageview", "link_click", 'say "hello"', "$identify"}
    who, at, properties = events["$pageview"]
    assert (who, at, properties["web_page_id"]) == ("ann", 1_709_287_200_250, "p-1")
    assert properties["com_acme_item"] == [{"sku": "a", "price": 5}, {"sku": "b"}]
    assert events["link_click"][2]["targetUrl"] == "https://a.example/"
    assert events['say "hello"'][2]["se_value"] == 12.5
