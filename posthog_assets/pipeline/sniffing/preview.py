"""What sampled records would become in PostHog.

Belongs here: a few records through dialect and mapping, in memory. Does not belong here: the preview of a whole day
(`preview`), or how it is shown.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.records import RecordChunk
from posthog_assets.core.rejection import reason_head
from posthog_assets.mapping.events import EventMapper
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.preview.preview import Sample
from posthog_assets.pipeline.sniffing.draft import Draft
from posthog_assets.sources.formats.unfold import first_unfolded


def preview_draft(draft: Draft, wanted: int = 5) -> list[Sample]:
    """Return *wanted* sampled records and what they become: of as many event names and reasons as there is room for."""
    imp = Import.read(without_variables(draft.attributes))
    unfold = draft.attributes["source"].get("unfold")
    chunk = RecordChunk(range(1, len(draft.records) + 1), draft.records, draft.untyped)
    records: list[Any] = first_unfolded(chunk, unfold) if unfold else draft.records
    staged = imp.dialect.stage(RecordChunk(range(len(records)), copy.deepcopy(records), draft.untyped), "sample")
    rows = staged.select(["event", "reject_reason", "raw_line"]).to_pylist()
    chosen = set(_diverse([row["event"] or reason_head(row["reject_reason"]) for row in rows], wanted))
    samples = {
        index: Sample(None, records[index], None, rows[index]["reject_reason"])
        for index in chosen
        if rows[index]["reject_reason"]
    }
    mapper = EventMapper(imp.mapping, imp.name, imp.dialect, day=draft.sample_day or datetime.now(UTC).date(),
                         fetched_at=datetime.now(UTC))  # fmt: skip
    good = staged.filter(pc.is_in(staged["raw_line"], value_set=pa.array(sorted(chosen - samples.keys()), pa.int64())))
    for event in mapper.map(mapper.prepared(good)).to_pylist() if good.num_rows else ():
        after = {key: event[key] for key in ("uuid", "event", "distinct_id")}
        properties = orjson.loads(event["properties"])
        # Of which day a record is, the whole export says: samples are of several days.
        properties.pop(imp.mapping.markers.day, None)
        after |= {"timestamp": event["timestamp"].isoformat(), "properties": properties}
        reason = event["reject_reason"]
        samples[event["raw_line"]] = Sample(
            None, records[event["raw_line"]], None if reason else after, reason, imp.dialect.time_column
        )
    return [samples[index] for index in sorted(samples)]


def without_variables(attributes: Any) -> Any:
    """Return *attributes* with every `{{ … }}` empty: a preview needs no credential."""
    if isinstance(attributes, dict):
        return {name: without_variables(value) for name, value in attributes.items()}
    if isinstance(attributes, list):
        return [without_variables(value) for value in attributes]
    return "" if isinstance(attributes, str) and attributes.startswith("{{") else attributes


def _diverse(keys: list[str], wanted: int) -> list[int]:
    """Return the places of the first of each key, then of the second, until there are enough."""
    seen: dict[str, int] = {}
    ranked = []
    for place, key in enumerate(keys):
        seen[key] = seen.get(key, 0) + 1
        ranked.append((seen[key], place))
    return [place for _, place in sorted(ranked)[:wanted]]
