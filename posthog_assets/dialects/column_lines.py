"""Lines of JSON, read by one function for the columns of an import file, without an object for each record.

Belongs here: writing that function, and which records it takes. Does not belong here: what a column means (`columns`,
which reads all other records), the tables of vendors (`straight`).

The function takes records as most are: ids that are text, a value in every column that is needed, nothing of persons
or groups among the properties. It names the others, which `columns` reads from their text as if nobody had tried
before. A property test holds both against each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from posthog_assets.core.rejection import Rejected
from posthog_assets.dialects.column_values import take_out
from posthog_assets.dialects.compiled import Code, added, made
from posthog_assets.dialects.json_column import JsonColumn
from posthog_assets.dialects.record import PERSONAL, group_keys
from posthog_assets.dialects.straight import Odd

#: `lines(dialect, texts, columns)`: adds the records it takes to the columns. Returned are the indices of the others,
#: and of those it took the names of columns that are not imported, by index.
Lines = Callable[[Any, list[bytes], tuple[Any, ...]], tuple[list[int], list[tuple[int, list[str]]]]]

#: Properties that are not properties of the event, or not only.
_APART: Final = (*PERSONAL, "$groups")


@dataclass(frozen=True)
class Chosen:
    """The columns that an import file names, by their names; None where it names none."""

    #: None: all events have the same name.
    event: str | None
    user_id: str | None
    anonymous_id: str | None
    timestamp: str
    #: None: made of the record's content.
    source_id: str | None
    #: None: all columns.
    properties: tuple[str, ...] | None
    person_properties: tuple[str, ...]
    required: tuple[str, ...]
    has_groups: bool
    #: Whether a value that is read by a path is no property.
    takes_out: bool


#: The columns that the function fills, in this order: lists, and a `JsonColumn` where they are of JSON objects.
FILLED: Final = ("source_ids", "events", "user_ids", "anonymous_ids", "times", "properties", "sets", "groups")


def unfilled() -> tuple[Any, ...]:
    """Return the columns of `FILLED`, with nothing in them."""
    return [], [], [], [], [], JsonColumn(), JsonColumn(), JsonColumn()


@functools.lru_cache(100)
def lines_of(chosen: Chosen) -> Lines:
    """Return the reader of lines for *chosen*."""
    names = {
        "FLAWS": (Odd, Rejected, KeyError, AttributeError, TypeError, ValueError), "NOTHING": (None, ""), "Odd": Odd,
        "dumps": orjson.dumps, "group_keys": group_keys, "loads": orjson.loads, "take_out": take_out,
    }  # fmt: skip
    return made("lines", lines_source(chosen), names)


def lines_source(chosen: Chosen) -> str:
    """Return the source of that function."""
    code = Code("def lines(dialect, texts, columns):", indent=1)
    code.add(
        '"""Read lines of JSON, in the columns of staged rows; return which records are to be read closely."""',
        f"{', '.join(FILLED)} = columns",
        "properties, property_ends = properties.text, properties.ends",
        *(["sets, set_ends = sets.text, sets.ends"] if chosen.person_properties else []),
        *(["groups, group_ends = groups.text, groups.ends"] if chosen.has_groups else []),
        "option, odd, noted, unknown_of = dialect.dump_option, [], [], {}",
        "for index, text in enumerate(texts):",
        "    try:",
        "        record = loads(text)",
    )
    body = Code(indent=3)
    _write_record(body, chosen)
    code.take(body)
    code.add(
        "    except FLAWS:",
        "        odd.append(index)",
        "        continue",
        "    source_ids.append(source_id)",
        *(["    events.append(event)"] if chosen.event else []),
        *(["    user_ids.append(user_id)"] if chosen.user_id else []),
        *(["    anonymous_ids.append(anonymous_id)"] if chosen.anonymous_id else []),
        "    times.append(time)",
        *added("properties", "property_ends", "written"),
        *(added("sets", "set_ends", "last") if chosen.person_properties else []),
        *(added("groups", "group_ends", "of_groups") if chosen.has_groups else []),
        "    # Freed before the next one is read: all of them take the same memory, which stays in the caches.",
        "    del record" + ("" if chosen.properties is None else ", into"),
        "return odd, noted",
    )
    return code.text()


def _write_record(code: Code, chosen: Chosen) -> None:
    apart = [name for name in _APART if chosen.properties is None or name in chosen.properties]
    if apart:
        code.add(f"if {' or '.join(f'{name!r} in record' for name in apart)}:", "    raise Odd")
    for name in chosen.required:
        _write_value(code, "value", name)
        code.add("if value is None or value == '':", "    raise Odd")
    if chosen.event:
        _write_id(code, "event", chosen.event)
    if chosen.user_id and chosen.anonymous_id:
        _write_optional_id(code, "user_id", chosen.user_id)
        _write_optional_id(code, "anonymous_id", chosen.anonymous_id)
        code.add("if user_id is None and anonymous_id is None:", "    raise Odd")
    elif chosen.user_id:
        _write_id(code, "user_id", chosen.user_id)
    elif chosen.anonymous_id:
        _write_id(code, "anonymous_id", chosen.anonymous_id)
    _write_value(code, "time", chosen.timestamp)
    if chosen.source_id:
        _write_id(code, "source_id", chosen.source_id)
    else:
        code.add("source_id = dialect.id_of_content(record)")
    if chosen.has_groups:
        code.add(
            "of_groups = group_keys(dialect.groups, record)", "of_groups = dumps(of_groups) if of_groups else None"
        )
    if chosen.person_properties:
        code.add("last = {}")
        _write_copied(code, chosen.person_properties, "last")
        code.add("last = dumps(last, None, option) if last else None")
    if chosen.properties is None:
        _write_all_others(code, chosen)
    else:
        code.add("into = {}")
        _write_copied(code, chosen.properties, "into")
        code.add(
            "written = dumps(into, None, option)",
            "shape = tuple(record)",
            "if (unknown := unknown_of.get(shape)) is None:",
            "    unknown = unknown_of[shape] = dialect.unknown_columns(shape)",
            "if unknown and (left_out := [name for name in unknown if record[name] not in NOTHING]):",
            "    noted.append((index, left_out))",
        )


def _write_value(code: Code, name: str, column: str) -> None:
    """Write what sets *name* to the value in a column, which must be there."""
    head, *rest = column.split(".")
    if rest:
        code.add(f"if {column!r} in record:", "    raise Odd")
    code.add(f"{name} = record[{head!r}]")
    for key in rest:
        # An item of a list has a number for a name; it is read closely, as is what is neither.
        code.add(f"if type({name}) is not dict:", "    raise Odd", f"{name} = {name}[{key!r}]")


def _write_id(code: Code, name: str, column: str) -> None:
    _write_value(code, name, column)
    code.add(f"if type({name}) is not str or not {name} or {name}.isspace():", "    raise Odd")


def _write_optional_id(code: Code, name: str, column: str) -> None:
    """Write what sets an id where the record may have another one instead."""
    if "." in column:
        # What is missing on the way there is read closely.
        _write_value(code, name, column)
    else:
        code.add(f"{name} = record.get({column!r})")
    code.add(
        f"if {name} is not None:",
        f"    if type({name}) is not str:",
        "        raise Odd",
        f"    if not {name} or {name}.isspace():",
        f"        {name} = None",
    )


def _write_copied(code: Code, columns: tuple[str, ...], into: str) -> None:
    for column in columns:
        code.add(f"if {column!r} in record:", f"    {into}[{column!r}] = record[{column!r}]")


def _write_all_others(code: Code, chosen: Chosen) -> None:
    """Write what makes properties of the columns that are used for nothing else."""
    needed = [chosen.event, chosen.user_id, chosen.anonymous_id, chosen.timestamp, chosen.source_id]
    # Of two ids a record may have one.
    may_lack = {chosen.user_id, chosen.anonymous_id} if chosen.user_id and chosen.anonymous_id else set()
    may_lack |= {*chosen.person_properties} - {*needed}
    for name in dict.fromkeys((*needed, *chosen.person_properties)):
        if name is None:
            continue
        if "." in name:
            code.add(f"if {name!r} in record:", f"    del record[{name!r}]")
            if chosen.takes_out:
                code.add("else:", f"    take_out(record, {name.split('.')!r})")
        else:
            code.add(f"record.pop({name!r}, None)" if name in may_lack else f"del record[{name!r}]")
    code.add("written = dumps(record, None, option)")
