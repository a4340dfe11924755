"""A useful part of HogQL, run on ClickHouse.

Belongs here: turning a HogQL SELECT over `events` and two tables of `system` into ClickHouse SQL, and refusing
everything else. Does not belong here: HTTP.

Everything is refused that is not known to be harmless: more than one SELECT, other tables, functions outside a list.
ClickHouse's own `readonly` stands behind it.
"""

from __future__ import annotations

import re
from typing import Final

from posthog_assets.sandbox.store import literal

#: HogQL's default and highest LIMIT: posthog.com/docs/api/queries.
DEFAULT_LIMIT: Final = 100
HIGHEST_LIMIT: Final = 50_000

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^'\\]|\\.|'')*')|(?P<quoted>`[^`]*`|"[^"]*")"""
    r"""|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z_$][\w$]*)|(?P<sign>->|<=|>=|!=|<>|=~|\|\||::|[-+*/%=<>(),.\[\]?:])""",
    re.DOTALL,
)
_COLUMNS: Final = frozenset(
    {"uuid", "event", "properties", "timestamp", "team_id", "distinct_id", "created_at", "historical_migration"}
)
_FUNCTIONS: Final = frozenset(
    """
    abs accuratecast and any anylast argmax argmin array arraydistinct arrayjoin arraysort avg cast ceil
    cityhash64 coalesce concat count countdistinct countif dateadd datediff datetrunc distinct empty endswith
    extract floor format formatdatetime grouparray groupuniqarray has if ifnull in isnotnull isnull jsonextract
    jsonextractbool jsonextractfloat jsonextractint jsonextractkeys jsonextractraw jsonextractstring jsonhas left
    length like lower lowerutf8 max maxif median min minif multiif not notempty notin now nullif or position
    quantile quantiles replaceall right round row_number siphash64 startswith substring sum sumif toboolean todate
    todatetime todatetime64 todayofmonth todayofweek tofloat tohour toint tominute tomonth tosecond tostartofday
    tostartofhour tostartofinterval tostartofminute tostartofmonth tostartofweek tostring totimezone totypename
    tounixtimestamp touint8 touuid toyear toyyyymm toyyyymmdd trim tuple uniq uniqexact uniqif upper values
    """.split()  # noqa: SIM905
)
_KEYWORDS_BEFORE_PARENTHESIS: Final = frozenset(
    {"in", "and", "or", "not", "from", "join", "where", "on", "as", "by", "having", "over", "select", "when", "then",
     "else", "between", "like", "distinct", "using", "prewhere", "with", "interval", "limit", "offset", "case"}
)  # fmt: skip
_TABLE_FOLLOWS: Final = frozenset({"from", "join"})
#: Tables of PostHog's `system.`, which are not ClickHouse's.
_SYSTEM_TABLES: Final = frozenset({"ingestion_warnings", "group_type_mappings"})
_FORBIDDEN: Final = frozenset(
    {
        "into",
        "outfile",
        "settings",
        "format",
        "final",
        "insert",
        "alter",
        "drop",
        "create",
        "attach",
        "detach",
        "system",
    }
)


class QueryRefused(Exception):
    """The query is not one the sandbox answers."""


def translate(hogql: str, most_rows: int = HIGHEST_LIMIT) -> str:
    """Return ClickHouse SQL for a HogQL SELECT, which gives *most_rows* at most; raises QueryRefused."""
    tokens = _tokens(hogql)
    if not tokens or tokens[0][1].lower() not in ("select", "with"):
        raise QueryRefused("only SELECT statements are answered")
    output, position = [], 0
    aliases = _aliases(tokens)
    while position < len(tokens):
        kind, text = tokens[position]
        previous = tokens[position - 1][1].lower() if position else ""
        after = tokens[position + 1][1] if position + 1 < len(tokens) else ""
        if kind == "word":
            step, sql = _word(tokens, position, previous, after, aliases)
        else:
            if kind == "quoted" and (after in ("(", ".") or previous in _TABLE_FOLLOWS):
                raise QueryRefused(f"Unknown table or function: {text}")
            step, sql = 1, text
        output.append(sql)
        position += step
    return _limited(output, tokens, most_rows)


def printed(hogql: str, most_rows: int = HIGHEST_LIMIT) -> str:
    """Return the query as PostHog prints it in its answer: with the LIMIT that is applied, not the one asked for."""
    texts = [text for _, text in _tokens(hogql)]
    if texts[-2:-1] and texts[-2].lower() == "limit" and texts[-1].isdecimal():
        texts[-1] = str(min(int(texts[-1]), most_rows))
    elif "limit" not in map(str.lower, texts):
        texts += ["LIMIT", str(min(DEFAULT_LIMIT, most_rows))]
    return " ".join(texts)


def _tokens(hogql: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    text = hogql.strip().rstrip(";").strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise QueryRefused(f"unexpected {text[at]!r} at position {at + 1}")
        at = match.end()
        if match.lastgroup != "space":
            tokens.append((match.lastgroup or "", match.group()))
    return tokens


def _aliases(tokens: list[tuple[str, str]]) -> set[str]:
    """Return the names that the query itself gives: after AS, and to common table expressions."""
    named = {tokens[i + 1][1].strip('`"').lower() for i, (_, text) in enumerate(tokens[:-1]) if text.lower() == "as"}
    named |= {tokens[i - 1][1].strip('`"').lower() for i, (_, text) in enumerate(tokens) if i and text.lower() == "as"}
    return named


def _word(
    tokens: list[tuple[str, str]], position: int, previous: str, after: str, aliases: set[str]
) -> tuple[int, str]:
    text = tokens[position][1]
    lowered = text.lower()
    if lowered == "system" and previous in _TABLE_FOLLOWS and after == ".":
        if (table := tokens[position + 2][1] if position + 2 < len(tokens) else "") not in _SYSTEM_TABLES:
            raise QueryRefused(f"Unknown table: system.{table}")
        return 3, table
    if lowered in _FORBIDDEN and after != "(" and previous != ".":
        raise QueryRefused(f"{text} is not allowed")
    if lowered == "properties" and after == "." and previous != ".":
        return 3, _property(tokens[position + 2][1].strip('`"'))
    if lowered == "properties" and after == "[" and tokens[position + 2][0] == "text":
        return 4, _property(tokens[position + 2][1][1:-1])
    if lowered == "person_id" and previous != ".":
        # The sandbox merges nobody: each distinct_id is a person.
        return 1, "cityHash64(distinct_id)"
    if lowered == "elements_chain" and previous != ".":
        # PostHog moves this property into a column of its own.
        return 1, "JSONExtractString(properties, '$elements_chain')"
    if previous in _TABLE_FOLLOWS and lowered != "select":
        if (lowered != "events" and lowered not in aliases) or after == "(":
            raise QueryRefused(f"Unknown table: {text}")
        return 1, text
    if after == "(" and lowered not in _KEYWORDS_BEFORE_PARENTHESIS and lowered not in _FUNCTIONS:
        raise QueryRefused(f"Unsupported function call '{text}(...)'")
    if after == "." and lowered != "events" and lowered not in aliases:
        raise QueryRefused(f"Unknown table: {text}")
    return 1, text


def _property(name: str) -> str:
    quoted = literal(name)
    # As PostHog reads a property: as text, null where it is missing, null or empty.
    text, raw = (f"JSONExtract{kind}(properties, {quoted})" for kind in ("String", "Raw"))
    return f"nullIf(nullIf(if(JSONType(properties, {quoted}) = 'String', {text}, {raw}), ''), 'null')"


def _limited(output: list[str], tokens: list[tuple[str, str]], most_rows: int) -> str:
    depth, limit = 0, None
    for index, (_, text) in enumerate(tokens):
        depth += (text == "(") - (text == ")")
        if depth == 0 and text.lower() == "limit":
            limit = tokens[index + 1][1] if index + 1 < len(tokens) else ""
    if depth:
        raise QueryRefused("parentheses do not match")
    sql = " ".join(output).replace(" . ", ".")
    if limit is None:
        return f"{sql} LIMIT {min(DEFAULT_LIMIT, most_rows)}"
    return f"SELECT * FROM ({sql}) LIMIT {most_rows}"
