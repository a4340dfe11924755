"""A preview in words: its sentences, and the whole as Markdown in Dagster's UI.

Belongs here: words and tables. Does not belong here: any number (`preview`), a page (`page`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from posthog_assets.core.counted import counted, sized
from posthog_assets.core.errors import shorten
from posthog_assets.core.markup import code_block, markdown_text, visible
from posthog_assets.core.posthog_rules import BEFORE_SINCE, NOT_BEFORE_UNTIL
from posthog_assets.pipeline.preview.field_changes import Difference, Kind
from posthog_assets.pipeline.preview.preview import NewNames, Preview, Sample

_MARKS: Final = {Kind.KEPT: " ", Kind.RENAMED: "→", Kind.CHANGED: "~", Kind.ADDED: "+", Kind.DROPPED: "-"}


#: Characters of a value that are shown.
_VALUE: Final = 100

LEGEND: Final = "→ renamed   ~ changed   + added   - not imported"


def sentences(preview: Preview) -> Iterator[str]:
    """Yield what a reader must know, a sentence each."""
    rows, lost = sum(preview.events_by_name.values()), sum(preview.rejected.values())
    unread = preview.raw_records - (rows - preview.derived)
    yield (
        f"{counted(preview.raw_records, 'raw record')} {'becomes' if preview.raw_records == 1 else 'become'} "
        f"{counted(rows, 'row')} ({preview.derived:,} of them derived), {lost:,} {'is' if lost == 1 else 'are'} "
        f"rejected. Mapping {preview.mapping}."
    )
    # A record that becomes several events does not add up so.
    if lost >= unread >= 0:
        yield (
            f"{counted(preview.raw_records, 'record')} - {unread:,} rejected by the dialect + {preview.derived:,} "
            f"derived = {counted(rows, 'row')}; {rows:,} - {lost - unread:,} rejected by the mapping = "
            f"{counted(rows - lost + unread, 'event')}."
        )
    if beyond := sum(preview.rejected.get(reason, 0) for reason in (BEFORE_SINCE, NOT_BEFORE_UNTIL)):
        yield f"{beyond:,} of them lie outside since and until, and are left to another import or to live tracking."
    yield _sending(preview)
    if preview.settled or preview.changed:
        yield (
            f"{preview.settled:,} events are settled already and are not sent again; {preview.changed:,} have changed "
            "and replace what PostHog has."
        )
    if preview.moved:
        yield (
            f"{preview.moved:,} events would be DUPLICATED for ever, because their day, name or distinct_id changed: "
            "importing this day stops before anything is sent."
        )
    if preview.billable:
        yield f"{preview.billable:,} of them are billed as live events (younger than 48 hours, or not flagged)."
    if preview.kept_repeats:
        yield (
            f"{preview.kept_repeats:,} records without an id are like an earlier one of the day. All are kept; "
            "mapping.repeats: collapse would keep one of each."
        )
    if preview.shared_devices or preview.refused_merges:
        yield (
            f"{preview.shared_devices:,} anonymous ids belong to several users; PostHog will refuse "
            f"{preview.refused_merges:,} merges."
        )
    for words in preview.group_types:
        yield f"Importing this day stops before anything is sent: {words}."
    if preview.group_types_unseen:
        yield f"The group types that the project has were not looked up: {preview.group_types_unseen}."
    yield from _names(preview.new_names)


def _sending(preview: Preview) -> str:
    events = f"{counted(preview.to_send, 'event')} {'is' if preview.to_send == 1 else 'are'} to be sent"
    words = f"{events}, in about {counted(preview.requests, 'request')} ({sized(preview.bytes)} before compression)"
    if preview.seconds_at_rate is None:
        return words + "; no rate is configured (destination.max_events_per_second)."
    return words + f", at least {preview.seconds_at_rate:,.0f} s at the configured rate."


def _names(names: NewNames) -> Iterator[str]:
    if names.unseen:
        yield f"The names that the project knows were not looked up: {names.unseen}."
    elif names.project_is_empty:
        yield "The project has no events yet: every name is new to it."
    else:
        for what, new in (("Event names", names.events), ("Property names", names.properties)):
            shown = ", ".join(new[:20]) + (f" and {len(new) - 20} more" if len(new) > 20 else "")
            yield f"{what} the project does not know: {shown or 'none'}."


def sample_title(sample: Sample) -> str:
    """Return where the record of a sample stands."""
    return f"{sample.place[0]}:{sample.place[1]}" if sample.place else "derived: no record of its own"


def difference_line(item: Difference) -> str:
    """Return what became of a field, on one line."""
    mark = _MARKS[item.kind]
    match item.kind:
        case Kind.RENAMED:
            return f"{mark} {item.old} → {item.new}: {_value(item.after)}"
        case Kind.CHANGED:
            return f"{mark} {item.new}: {_value(item.before)} ~ {_value(item.after)}"
        case Kind.DROPPED:
            return f"{mark} {item.old}: {_value(item.before)}"
    return f"{mark} {item.new}: {_value(item.after)}"


def _value(value: Any) -> str:
    return shorten(json_text(value), _VALUE)


def json_text(value: Any) -> str:
    """Return *value* as JSON, as it is shown."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def markdown(preview: Preview) -> str:
    """Return a preview as Markdown."""
    parts = [f"**{preview.import_name}, {preview.day}**: nothing is sent", ""]
    parts += [*(f"- {markdown_text(sentence)}" for sentence in sentences(preview)), ""]
    parts += [_rows("event", preview.events_by_name), ""]
    if preview.rejected:
        parts += [_rows("rejected because", preview.rejected), ""]
    if preview.fields_left_out:
        parts += [_rows("field left out", preview.fields_left_out, "records"), ""]
    if preview.remarks:
        parts += [_rows("remark", preview.remarks, "records"), ""]
    parts.append(LEGEND)
    for sample in preview.samples:
        if sample.after is None:
            lines = [f"! {sample.reason}", shorten(json_text(sample.before), 1000)]
        else:
            lines = [difference_line(item) for item in sample.differences]
        parts += ["", markdown_text(sample_title(sample)), "", code_block("\n".join(map(visible, lines)), "diff")]
    return "\n".join(parts)


def _rows(name: str, counts: dict[str, int], number: str = "rows") -> str:
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    cells = [f"| {markdown_text(key)} | {count:,} |" for key, count in rows]
    return "\n".join([f"| {name} | {number} |", "|---|---|", *cells])
