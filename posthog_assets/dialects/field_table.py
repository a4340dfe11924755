"""What a dialect makes of each field, as a table made from the dialect itself.

Belongs here: reading a dialect's class attributes. Does not belong here: printing (`cli`), or any vendor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.vendor import Vendor


class Entry(NamedTuple):
    """What becomes of one field of a record, or of one setting of the dialect."""

    field: str
    becomes: str
    note: str = ""


def mapping_table(dialect: type[Dialect]) -> list[Entry]:
    """Return what a dialect makes of each field, in the order in which a reader asks; settings come last."""
    fields = list(_of_vendor(dialect)) if issubclass(dialect, Vendor) else []
    return [*fields, *_settings(dialect)]


def _of_vendor(vendor: type[Vendor]) -> Iterator[Entry]:
    yield Entry(vendor.event, "event")
    yield from _chain(vendor.user_id, "user id", "the distinct_id")
    yield from _chain(vendor.anonymous_id, "anonymous id", "the distinct_id where there is no user id")
    yield from _chain(vendor.timestamp, "timestamp")
    how = "as it stands where it is one, else UUIDv5 of it" if vendor.verbatim_uuid else "UUIDv5 of it"
    yield from _chain(vendor.source_id, "uuid", how)
    if not vendor.source_id and not vendor.makes_ids:
        yield Entry("the whole record", "uuid", "UUIDv5 of its content")
    for old, new in vendor.names.items():
        yield Entry(f"event {old}", new)
    for name, why in vendor.left_out.items():
        yield Entry(f"event {name}", "left out", why)
    for path, name in vendor.properties.items():
        yield Entry(path, name)
    for path in vendor.spread:
        yield Entry(f"{path}.*", "properties")
    for member, name in vendor.renames.items():
        yield Entry(member, name)
    for path, name in vendor.person_set.items():
        yield Entry(path, f"$set.{name}")
    for path, name in vendor.person_set_once.items():
        yield Entry(path, f"$set_once.{name}")
    if vendor.session:
        yield Entry(vendor.session.property, "$session_id", "with mapping.sessions: auto")
    for what, becomes in vendor.notes:
        yield Entry(what, becomes)
    yield from fields_not_imported(vendor)
    if vendor.dropped:
        yield Entry(", ".join(sorted(vendor.dropped)), "no property")
    if nothing := sorted(vendor.nothing - {""}):
        yield Entry(", ".join(nothing), "no value")


def fields_not_imported(dialect: type[Dialect]) -> Iterator[Entry]:
    """Yield the fields that a dialect knows and does not import, with the reason, and what becomes of unknown ones."""
    if not issubclass(dialect, Vendor):
        yield Entry("columns that `properties` does not choose", "not imported", "counted per day: fields_left_out")
        return
    for path, why in dialect.not_imported.items():
        yield Entry(path, "not imported", why)
    if not dialect.takes_others:
        yield Entry("fields that this table does not name", "not imported", "counted per day: fields_left_out")


def _chain(paths: Iterable[str], becomes: str, note: str = "") -> Iterator[Entry]:
    before: list[str] = []
    for path in paths:
        yield Entry(path, becomes, f"where {', '.join(before)} is empty" if before else note)
        before.append(path)


def _settings(dialect: type[Dialect]) -> Iterator[Entry]:
    for name, field in dialect.model_fields.items():
        if name != "type":
            default = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
            yield Entry(f"setting {name}", field.description or "", default)


def as_markdown(entries: Iterable[Entry]) -> str:
    """Return the table in Markdown."""
    lines = ["| field | becomes | note |", "|---|---|---|"]
    for entry in entries:
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in entry) + " |")
    return "\n".join(lines)
