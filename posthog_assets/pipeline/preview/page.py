"""A preview as one page of HTML that needs nothing else.

Belongs here: which tables there are, and each record beside its event. Does not belong here: any number (`preview`),
what became of a field (`field_changes`), how pages look (`core.html_page`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from posthog_assets.core.errors import shorten
from posthog_assets.core.html_page import environment
from posthog_assets.core.markup import visible, visible_lines
from posthog_assets.pipeline.preview.field_changes import Difference, Kind
from posthog_assets.pipeline.preview.markdown import json_text, sample_title, sentences
from posthog_assets.pipeline.preview.preview import Preview, Sample

#: Characters of a value, and of a record that was rejected.
_VALUE: Final = 400
_RECORD: Final = 10_000

_WORDS: Final = {
    Kind.KEPT: "kept",
    Kind.RENAMED: "renamed",
    Kind.CHANGED: "changed",
    Kind.ADDED: "added",
    Kind.DROPPED: "not imported",
}


@dataclass(frozen=True, slots=True)
class _Field:
    """One row of a sample: a field of the record, and beside it the field of the event; empty where there is none."""

    kind: str
    old: str
    before: str
    new: str
    after: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """One sample: its fields, or why it is rejected and its whole record."""

    place: str
    name: str
    fields: list[_Field]
    reason: str | None
    record: str


def html(preview: Preview) -> str:
    """Return the page about *preview*."""
    template = environment("posthog_assets.pipeline.preview").get_template("page.html.jinja")
    return template.render(
        preview=preview,
        totals=_totals(preview),
        sentences=list(sentences(preview)),
        tables=[table for table in _tables(preview) if table[-1]],
        kinds=list(_WORDS.values()),
        samples=[_shown(sample) for sample in preview.samples],
    )


def _totals(preview: Preview) -> dict[str, Any]:
    return {
        "raw records": preview.raw_records,
        "derived events": preview.derived,
        "rejected": sum(preview.rejected.values()),
        "events to send": preview.to_send,
        "settled already": preview.settled,
        "would be duplicated": preview.moved,
        "requests": preview.requests,
        "MB before compression": round(preview.bytes / 1e6, 1),
    }


def _tables(preview: Preview) -> Iterator[tuple[str, str, str, list[tuple[str, int]]]]:
    for title, name, number, counts in (
        ("Events by name", "event", "rows", preview.events_by_name),
        ("Rejected because", "reason", "rows", preview.rejected),
        ("Fields left out", "field", "records", preview.fields_left_out),
        ("Remarks", "remark", "records", preview.remarks),
    ):
        yield title, name, number, sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _shown(sample: Sample) -> _Shown:
    place = sample_title(sample)
    if sample.after is None:
        return _Shown(place, "rejected", [], sample.reason or "", _indented(sample.before))
    found = sample.differences
    return _Shown(place, str(sample.after["event"]), [_field(item) for item in found], None, "")


def _field(item: Difference) -> _Field:
    return _Field(
        _WORDS[item.kind],
        visible(item.old or ""),
        _value(item.before) if item.old is not None else "",
        visible(item.new or ""),
        _value(item.after) if item.new is not None else "",
    )


def _value(value: Any) -> str:
    return visible(shorten(json_text(value), _VALUE))


def _indented(record: Any) -> str:
    """Return a record over several lines; what could not be read is text already."""
    if isinstance(record, str):
        return visible_lines(shorten(record, _RECORD))
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    return visible_lines(shorten(orjson.dumps(record, default=str, option=options).decode(), _RECORD))
