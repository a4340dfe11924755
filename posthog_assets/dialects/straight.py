"""Lines of JSON, read by one function per dialect without an object for each record.

Belongs here: the loop over the lines of a block, what all dialects' loops have in common, and which dialects have one.
Does not belong here: what a record means (`vendor`, and the vendors), the columns of a user's own table (`columns`).

Such a function takes the records that most records are like: ids that are text, objects that are objects, nothing that
is to be rejected. Whatever else a line holds goes the slow way, `rows` of `compiled`, which reads the line again from
its text and so gives the same whether or not this one tried before. A property test holds both against each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from posthog_assets.core.errors import ImportFileError
from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.compiled import (
    SOURCE,
    Code,
    Held,
    added,
    rows_source,
    write_first,
    write_spread,
    write_table,
)

if TYPE_CHECKING:
    from posthog_assets.dialects.vendor import Vendor


class Odd(Exception):
    """A record that is to be read the slow way."""


#: Which ids the tables name, as the loop calls them.
_IDS: Final = (("user_id", "user id"), ("anonymous_id", "anonymous id"))


def is_straight(vendor: type[Vendor]) -> bool:
    """Whether the reader that a dialect writes is that of its own `read`, and not of a class that it extends."""
    return (
        vendor.compiled
        and _owner(vendor, "read") is _owner(vendor, "write_reader")
        and all(getattr(_owner(vendor, name), "__module__", "").endswith("dialects.vendor") for name in _SHARED)
    )


#: What the loop stands for, so that no class may have one of its own.
_SHARED: Final = ("fields", "fields_by_tables", "rows_by_row")


def _owner(vendor: type[Vendor], name: str) -> type:
    return next(kind for kind in vendor.__mro__ if name in vars(kind))


def lines_source(vendor: type[Vendor], seen: dict[str, Any], *, has_groups: bool) -> tuple[str, dict[str, Any]]:
    """Return the source of `lines(dialect, texts, columns, slowly)`, and what it calls: *seen*, and what it needs.

    It adds every one of *texts* to *columns* as a row, or has *slowly(index, text)* do it, and returns the notes.
    """
    code = Code("def lines(dialect, texts, columns, slowly):", indent=1)
    code.add(
        f'"""Read lines of JSON, in the columns of staged rows; {vendor.__name__}."""',
        "source_ids, kinds, events, user_ids, anonymous_ids, times, *of_json, clocks = columns",
        "properties, sets, set_onces, groups, group_sets = [column.text for column in of_json]",
        "property_ends, set_ends, set_once_ends, group_ends, group_set_ends = [column.ends for column in of_json]",
        "option, noted, named = dialect.dump_option, [], {}",
        *([] if vendor.takes_others else ["unknown_of, unknown_names = {}, dialect.unknown_names"]),
        "for index, text in enumerate(texts):",
        "    try:",
        "        record = loads(text)",
    )
    body = Code(indent=3)
    body.add("get, kind, of_groups, said = record.get, 'event', None, None")
    more = vendor.write_reader(body)
    _write_groups(body, has_groups=has_groups)
    _write_checked(body)
    code.take(body)
    code.add(
        "    except (Odd, Rejected, *FLAWS):",
        "        slowly(index, text)",
        "        continue",
        *([] if vendor.takes_others else ["    if left_out:", "        noted.append((index, left_out, None))"]),
        "    source_ids.append(source_id)",
        "    kinds.append(kind)",
        "    events.append(event)",
        "    user_ids.append(user_id)",
        "    anonymous_ids.append(anonymous_id)",
        "    times.append(time)",
        *added("properties", "property_ends", "written"),
        *added("sets", "set_ends", "last"),
        *added("set_onces", "set_once_ends", "first"),
        *added("groups", "group_ends", "of_groups"),
        *added("group_sets", "group_set_ends", "said"),
        "    clocks.append(None)",
        "    # Freed before the next one is read: all of them take the same memory, which stays in the caches.",
        "    del record, into",
        "return noted",
    )
    return code.text(), _seen_names(vendor, seen) | more


def _write_groups(code: Code, *, has_groups: bool) -> None:
    if has_groups:
        code.add("of_groups = (of_groups or {}) | group_keys(dialect.groups, into)")
    code.add(
        "if of_groups is not None:",
        "    of_groups = {type_of: key.strip() for type_of, key in of_groups.items()} or None",
    )


def _write_checked(code: Code) -> None:
    """Write what every row is held against, and its objects as text."""
    code.add("if '$set' in into or '$set_once' in into or '$unset' in into or '$groups' in into:", "    raise Odd")
    for name, what in _IDS:
        code.add(
            f"if {name} is not None and (type({name}) is not str or not {name}.strip()):",
            f"    {name} = as_id({name}, {what!r})",
        )
    code.add(
        "if type(source_id) is not str or not source_id.strip() or (user_id is None and anonymous_id is None):",
        "    raise Odd",
        "if last and first and not first.keys().isdisjoint(last):",
        "    last = {name: value for name, value in last.items() if name not in first}",
        "written = dumps(into, None, option)",
        "last = dumps(last, None, option) if last else None",
        "first = dumps(first, None, option) if first else None",
        "if of_groups:",
        "    of_groups = dumps(of_groups, None, option)",
        "if said:",
        "    said = dumps(said, None, option)",
    )


# --- the parts of a reader --------------------------------------------------------------------------------------


def write_name(code: Code, value: str) -> None:
    """Write what sets `event` to PostHog's name of the event called *value*."""
    code.add(
        f"if type(name := {value}) is not str:",
        "    raise Odd",
        "if (event := named.get(name)) is None:",
        "    event = named[name] = dialect.named(name)",
    )


def write_left_out(code: Code, vendor: type[Vendor]) -> None:
    """Write what sets `left_out` to the paths of a record that no table names, and refuses objects that are text."""
    if vendor.takes_others:
        return
    members = vendor.members()
    code.add(
        "shape = tuple(record)",
        "if (unknown := unknown_of.get(shape)) is None:",
        "    unknown = unknown_of[shape] = unknown_names(shape)",
        "left_out = [name for name in unknown if record[name] not in NOTHING] if unknown else None",
    )
    for name in members.whole:
        code.add(f"if type(get({name!r})) is str:", "    raise Odd")
    for number, (name, inner) in enumerate(members.objects):
        code.add(f"if (below := get({name!r})) is not None:", "    if type(below) is not dict:", "        raise Odd")
        if inner.whole or inner.objects:
            code.add(
                f"    if below and (inner := of_objects[{number}][1].left_out(below, never)):",
                "        left_out = [*(left_out or ()), *inner]",
            )
        else:
            code.add(
                "    shape = tuple(below)",
                f"    if (unknown := unknown_of.get(({number}, shape))) is None:",
                f"        unknown = unknown_of[{number}, shape] = of_objects[{number}][1].unknown_paths(shape)",
                "    if unknown and (inner := [path for name, path in unknown if below[name] not in NOTHING]):",
                "        left_out = [*left_out, *inner] if left_out else inner",
            )


def write_tables(code: Code, vendor: type[Vendor], also: Iterable[str] = ()) -> Held:
    """Write what sets ids, times and objects as the tables of a dialect say; the record must not be used up before.

    A field that several of them name, or one that the dialect reads itself (*also*), is read once: returned is which
    variable holds it.
    """
    held = _write_held(code, vendor, also)
    for attribute, name in (("user_id", "user_id"), ("anonymous_id", "anonymous_id"), ("timestamp", "time")):
        paths: tuple[str, ...] = getattr(vendor, attribute)
        _write_set(code, name, paths, held)
    _write_set(code, "source_id", vendor.source_id, held)
    if not vendor.makes_ids:
        code.add("if is_nothing(source_id):", "    source_id = dialect.id_of_content(record)")
        code.add("elif type(source_id) is not str:", "    source_id = as_id(source_id, 'source id')")
    for names, target in ((vendor.person_set, "last"), (vendor.person_set_once, "first"), (vendor.properties, "into")):
        code.add(f"{target} = {{}}")
        if names:
            write_table(code, names, vendor.nothing, target, held)
    for field in vendor.spread:
        write_spread(code, vendor, field, "into")
    return held


def _write_held(code: Code, vendor: type[Vendor], also: Iterable[str]) -> Held:
    tables = (vendor.user_id, vendor.anonymous_id, vendor.source_id, vendor.person_set, vendor.person_set_once,
              vendor.properties, tuple(also))  # fmt: skip
    named = Counter(path for table in tables for path in table if "." not in path)
    held = {name: f"field_{number}" for number, (name, count) in enumerate(named.items()) if count > 1}
    code.add(*(f"{variable} = get({name!r})" for name, variable in held.items()))
    return held


def _write_set(code: Code, name: str, paths: Iterable[str], held: Held) -> None:
    write_first(code, paths, held)
    code.add(f"{name} = value")


def _seen_names(vendor: type[Vendor], names: dict[str, Any]) -> dict[str, Any]:
    unwanted = vendor.renames.keys() | vendor.dropped
    return names | {"Odd": Odd, "of_objects": vendor.members().objects, "unwanted": unwanted}


def source_of(dialect: type[Dialect]) -> str:
    """Return the source of every function that is made of the tables of a dialect; raises ImportFileError for none."""
    found: dict[str, str] = {}
    for kind in dialect.__mro__:
        # pydantic completes a class when its validator is looked at, which adds to it.
        for value in list(vars(kind).values()):
            source = getattr(getattr(value, "__func__", value), SOURCE, None)
            if source is not None:
                found.setdefault(source.split("(")[0], source)
    if not found:
        raise ImportFileError(f"{dialect.__name__} has no tables that are compiled")
    vendor = cast("type[Vendor]", dialect)
    lines = [lines_source(vendor, {}, has_groups=False)[0]] if is_straight(vendor) else []
    rows = rows_source(vendor, of_texts=True, has_groups=False)
    return "\n\n".join((*lines, rows, *found.values()))
