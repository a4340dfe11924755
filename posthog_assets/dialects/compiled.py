"""A vendor's tables as straight-line Python: what reads millions of records does not look up what to do for each.

Belongs here: writing such functions from a dialect's class attributes, and compiling them. Does not belong here: what a
record means (`vendor`, and the vendors), the columns of a user's own table (`columns`).

Each function does what a slower one in `vendor` does by looping over the tables, which a property test holds it
against (`Vendor.compiled = False` uses the slower ones). `posthog-assets dialects NAME --source` prints them.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from posthog_assets.dialects.paths import by_head

if TYPE_CHECKING:
    from posthog_assets.dialects.vendor import Vendor

#: Where a compiled function keeps its source.
SOURCE: Final = "__source__"


class Code:
    """Lines of a function that is being written."""

    def __init__(self, *lines: str, indent: int = 0) -> None:
        self._lines = list(lines)
        self._indent = indent

    def add(self, *lines: str, deeper: int = 0) -> None:
        margin = "    " * (self._indent + deeper)
        self._lines.extend(margin + line if line else "" for line in lines)

    def take(self, other: Code) -> None:
        """Add the lines of *other* as they stand."""
        self._lines.extend(other._lines)

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def made(name: str, source: str, names: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the function *name* that *source* defines, which sees *names*; tracebacks and debuggers show its lines."""
    file = f"<compiled {name} {hash(source):x}>"
    space = dict(names)
    exec(compile(source, file, "exec"), space)
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    function: Callable[..., Any] = space[name]
    setattr(function, SOURCE, source)
    return function


# --- what the tables say --------------------------------------------------------------------------------------


def fields_source(vendor: type[Vendor]) -> str:
    """Return the source of `fields(dialect, record)`: `Vendor.fields_by_tables` for one dialect."""
    code = Code("def fields(dialect, record):", indent=1)
    code.add(f'"""What the tables of {vendor.__name__} say of a record."""', "reading = Reading()", "get = record.get")
    for attribute in ("source_id", "user_id", "anonymous_id", "timestamp"):
        paths: tuple[str, ...] = getattr(vendor, attribute)
        if paths:
            write_first(code, paths)
            code.add(f"reading.{attribute} = value")
    if len(clocks := (*vendor.timestamp, *vendor.arrival)) > 1:
        _write_clocks(code, clocks)
    tables = (vendor.properties, "properties"), (vendor.person_set, "set"), (vendor.person_set_once, "set_once")
    for names, target in tables:
        if names:
            code.add(f"into = reading.{target}")
            write_table(code, names, vendor.nothing)
    for field in vendor.spread:
        write_spread(code, vendor, field)
    code.add("return reading")
    return code.text()


#: Fields of a record that were read already -> the variable that holds each.
Held = Mapping[str, str]


def write_first(code: Code, paths: Iterable[str], held: Held = MappingProxyType({})) -> None:
    """Write what sets `value` to the first at *paths* that is neither null nor empty text, else None."""
    depth = 0
    for path in paths:
        head, *rest = path.split(".")
        code.add(f"value = {held.get(head) or f'get({head!r})'}", deeper=depth)
        for key in rest:
            code.add(f"value = value.get({key!r}) if type(value) is dict else None", deeper=depth)
        code.add("if value is None or value == '':", deeper=depth)
        depth += 1
    code.add("value = None", deeper=depth)


def _write_clocks(code: Code, paths: tuple[str, ...]) -> None:
    """Write what keeps the value of every clock, for where the first cannot be true."""
    if all("." not in path for path in paths):
        code.add(f"reading.clocks = ({', '.join(f'get({path!r})' for path in paths)})")
        return
    for number, path in enumerate(paths):
        write_first(code, (path,))
        code.add(f"clock_{number} = value")
    code.add(f"reading.clocks = ({', '.join(f'clock_{number}' for number in range(len(paths)))})")


#: Fields and the properties they become; below a field that is an object, such a tree.
def write_table(
    code: Code, names: Mapping[str, str], nothing: frozenset[str], into: str = "into", held: Held = MappingProxyType({})
) -> None:
    """Write what sets `into[name]` to the value of each field that has one; texts in *nothing* are none."""
    _write_below(code, names, nothing, into, held)


def _write_below(
    code: Code, names: Mapping[str, str], nothing: frozenset[str], into: str, held: Held, get: str = "get",
    depth: int = 0,
) -> None:  # fmt: skip
    flat, inner = by_head(names)
    for key, name in flat.items():
        if (value := held.get(key)) is None:
            code.add(f"value = {get}({key!r})", deeper=depth)
            value = "value"
        code.add(f"if {_is_said(nothing, value)}:", f"    {into}[{name!r}] = {value}", deeper=depth)
    for key, below in inner.items():
        code.add(f"below = {get}({key!r})", "if type(below) is dict and below:", deeper=depth)
        code.add(f"    {get}_below = below.get", deeper=depth)
        _write_below(code, below, nothing, into, {}, f"{get}_below", depth + 1)


def _is_said(nothing: frozenset[str], value: str) -> str:
    """Return the condition that the variable *value* holds one."""
    if nothing == {""}:
        # Most values are true, which is the quickest to see; 0, false, [] and {} are values too.
        return f"{value} or ({value} is not None and {value} != '')"
    texts = tuple(sorted(nothing))
    return f"{value} is not None" + (f" and {value} not in {texts!r}" if texts else "")


def write_spread(code: Code, vendor: type[Vendor], field: str, into: str = "reading.properties") -> None:
    """Write what adds the members of an object to properties."""
    code.add(f"members = get({field!r})")
    if vendor.spread_out.__qualname__ != "Vendor.spread_out":
        code.add("if members:", f"    dialect.spread_out(members, {into})")
        return
    unwanted = [*vendor.renames, *sorted(vendor.dropped - vendor.renames.keys())]
    is_plain = "type(members) is dict"
    if unwanted:
        is_plain += " and unwanted.isdisjoint(members)"
    code.add(
        "if members:",
        f"    if {is_plain}:",
        f"        {into}.update(members)",
        "    else:",
        f"        dialect.spread_out(members, {into})",
    )


def reshaper(dropped: Iterable[str], renames: Mapping[str, str]) -> Callable[[dict[str, Any]], None]:
    """Return a function that takes *dropped* out of an object, then renames its members; a new name replaces its like.

    Members that are renamed come last, in the order of *renames*.
    """
    code = Code("def reshape(members):", indent=1)
    code.add('"""Take out what is dropped, rename what is renamed."""', "pop = members.pop")
    write_reshaped(code, dropped, renames)
    return made("reshape", code.text(), {})


def write_reshaped(code: Code, dropped: Iterable[str], renames: Mapping[str, str]) -> None:
    """Write what `reshaper` does, with `pop` that of `members`."""
    for name in sorted(dropped):
        code.add(f"pop({name!r}, None)")
    for old, new in renames.items():
        code.add(f"if {old!r} in members:", f"    members[{new!r}] = pop({old!r})")


def chooser(name: str, names: Iterable[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function called *name*: the members called *names* that an object has a value for."""
    code = Code(f"def {name}(members):", indent=1)
    code.add('"""Those members that have a value."""', "get = members.get", "into = {}")
    write_table(code, {key: key for key in names}, frozenset({""}))
    code.add("return into")
    return made(name, code.text(), {})


# --- a block of records ---------------------------------------------------------------------------------------


def added(text: str, ends: str, value: str) -> list[str]:
    """Return the lines that add the text in *value* to a `JsonColumn`, whose own are in *text* and *ends*."""
    return [f"    if {value}:", f"        {text} += {value}", f"    {ends}.append(len({text}))"]


def rows_source(vendor: type[Vendor], *, of_texts: bool, has_groups: bool) -> str:
    """Return the source of `rows(dialect, records, untyped, columns)`: `Vendor.rows_by_row` for one dialect.

    With *of_texts* the records are lines of JSON, else objects. *has_groups*: the import file names groups.
    """
    code = Code("def rows(dialect, records, untyped, columns):", indent=1)
    code.add(
        f'"""Read the records of a block, in the columns of staged rows; {vendor.__name__}."""',
        "read, reasons, noted = dialect.read, {}, []",
        "(source_ids, kinds, events, user_ids, anonymous_ids, times,",
        " properties, sets, set_onces, groups, group_sets, clocks) = columns",
        "option, write = dialect.dump_option, dialect.dumps",
        *(["carefully, records = records.carefully, records.texts"] if of_texts else []),
        *([] if vendor.takes_others else ["find_left_out, is_known = dialect._members.left_out, dialect.is_known"]),
        "for index, record in enumerate(records):",
        "    try:",
    )
    _write_opened(code, of_texts)
    code.add("        try:")
    _write_fallback(code, vendor)
    code.add("            if untyped:", "                record = dialect.typed(record)")
    if vendor.takes_others:
        code.add("            row = read(record)")
    else:
        code.add("            left_out = find_left_out(record, is_known)", "            row = read(record)")
        code.add("            row.left_out = left_out")
    code.add("            told = row.properties")
    if has_groups:
        code.add(
            "            if row.kind != 'group':",
            "                row.groups = row.groups | group_keys(dialect.groups, told)",
        )
    code.add(
        "            if '$set' in told or '$set_once' in told or '$unset' in told:",
        "                dialect._set_apart(row)",
        "            if '$groups' in told:",
        "                read_own_groups(told)",
        "            if row.groups:",
        "                trim_groups(row)",
    )
    _write_ids(code)
    people = ", ".join(vendor.user_id + vendor.anonymous_id)
    code.add(
        "        except FLAWS as error:",
        "            raise not_of(dialect, error) from error",
        "        last, first = row.set, row.set_once",
        "        if last and first and not first.keys().isdisjoint(last):",
        "            row.set = last = {name: value for name, value in last.items() if name not in first}",
        "        if source_id is None:",
        "            raise Rejected('record has no id of its own')",
        "        if user_id is None and anonymous_id is None and row.kind != 'group':",
        f"            raise Rejected({f'record has no id of a user or device: {people}'!r})",
        "        try:",
        "            text, other = dumps(told, None, option), (row.groups, row.group_set)",
        "            last = dumps(last, None, option) if last else None",
        "            first = dumps(first, None, option) if first else None",
        "            of_groups, said = [write(item) if item else None for item in other] if any(other) else NEITHER",
        "        except TypeError:",
        "            text, last, first, of_groups, said = written(row, write)",
        "    except Rejected as reason:",
        "        reasons[index] = str(reason)",
        "        for column in columns:",
        "            column.append(None)",
        "        continue",
        "    if row.left_out or row.remarks:",
        "        noted.append((index, row.left_out, row.remarks))",
        "    source_ids.append(source_id)",
        "    kinds.append(row.kind)",
        "    events.append(row.event)",
        "    user_ids.append(user_id)",
        "    anonymous_ids.append(anonymous_id)",
        "    times.append(row.timestamp)",
        "    properties.append(text)",
        "    sets.append(last)",
        "    set_onces.append(first)",
        "    groups.append(of_groups)",
        "    group_sets.append(said)",
        "    clocks.append(row.clocks)",
        "    # Freed before the next one is read: all of them take the same memory, which stays in the caches.",
        "    del row, told, record",
        "return reasons, noted",
    )
    return code.text()


def _write_opened(code: Code, of_texts: bool) -> None:
    if of_texts:
        code.add(
            "        text = record",
            "        try:",
            "            record = loads(text)",
            "        except JSONDecodeError:",
            "            record = None",
            "        if type(record) is not dict:",
            "            record = carefully(text)",
        )
    code.add("        if type(record) is Unreadable:", "            raise Rejected(record.reason)")


def _write_fallback(code: Code, vendor: type[Vendor]) -> None:
    """Write what makes an id of a record that has none: before it is read, which uses it up."""
    if vendor.makes_ids:
        code.add("            fallback = None")
        return
    code.add("            get = record.get")
    inner = Code(indent=3)
    write_first(inner, vendor.source_id)
    code.add(*inner.text().splitlines() if vendor.source_id else ["            value = None"])
    code.add("            fallback = dialect.id_of_content(record) if is_nothing(value) else None")


def _write_ids(code: Code) -> None:
    """Write what makes texts of ids; most are, and those that hold something besides space stay as they are."""
    code.add(
        "            source_id, user_id, anonymous_id = row.source_id, row.user_id, row.anonymous_id",
        "            if type(source_id) is not str or not source_id.strip():",
        "                source_id = as_id(source_id, 'source id') or fallback",
        "            if not (",
        "                (user_id is None or (type(user_id) is str and user_id.strip()))",
        "                and (anonymous_id is None or (type(anonymous_id) is str and anonymous_id.strip()))",
        "            ):",
        "                read_ids(row)",
        "                user_id, anonymous_id = row.user_id, row.anonymous_id",
    )
