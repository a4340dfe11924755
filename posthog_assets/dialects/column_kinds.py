"""What the columns of CSV hold: one kind for all values of a column, since PostHog has one type per property.

Belongs here: the kind of a text, and of a column that has several. Does not belong here: keeping what was found
(`pipeline.column_types`), or which columns are properties (the dialects).

A number is one only where it prints as the text did: `1.10` and `01234` would not, and a column that has such a text,
or numbers beside words, holds text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal

from posthog_assets.core.records import RecordChunk
from posthog_assets.dialects.column import inferred

Kind = Literal["number", "boolean", "text"]

#: The setting `types` of dialects that read columns of the user's own.
Types = Literal["infer", "text"] | dict[str, Kind]
TYPES_DESCRIPTION: Final = (
    "What columns of the user's own hold in CSV. infer: numbers or booleans, where all values of a column in the whole "
    "import print as such, else text; text: text; or {price: number} for some columns, and infer for the others"
)

#: What values of a kind are.
_TYPES: Final[Mapping[Kind, tuple[type, ...]]] = {"number": (int, float), "boolean": (bool,), "text": ()}

_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_BOOLEANS: Final = _TRUE | _FALSE
_INTEGER: Final = re.compile(r"0|-?[1-9]\d{0,15}", re.ASCII)
_FRACTION: Final = re.compile(r"-?(?:0|[1-9]\d*)\.\d*[1-9]", re.ASCII)
#: Lines of numbers of at most 15 digits that print as they are, or nothing.
_ONE: Final = r"(?:0|-?[1-9]\d{0,14}+|-?(?:0|[1-9]\d{0,7}+)\.\d{0,5}[1-9])?+"
_PLAIN: Final = re.compile(rf"{_ONE}(?:\n{_ONE})*+", re.ASCII)
#: So many digits a double always gives back as they are; JavaScript writes smaller numbers with an exponent.
_SURE_DIGITS: Final = 15
_SMALLEST: Final = 1e-6


@lru_cache(1 << 16)
def kind_of(text: str) -> Kind:
    """Return what a text of CSV plainly is."""
    if text in _BOOLEANS:
        return "boolean"
    if _INTEGER.fullmatch(text):
        return "number" if abs(int(text)) < 2**53 else "text"
    if _FRACTION.fullmatch(text) and abs(number := float(text)) >= _SMALLEST:
        return "number" if len(text) <= _SURE_DIGITS or repr(number) == text else "text"
    return "text"


def as_kind(text: Any, kind: Kind | None) -> Any:
    """Return the number or boolean that *text* is, in a column of *kind* (None: of which nothing is known)."""
    if kind == "text" or type(text) is not str:
        return text
    found = kind_of(text)
    if found == "text" or found != (kind or found):
        return text
    return _CONVERTERS[found](text)


def converters(kinds: Mapping[str, Kind]) -> list[tuple[str, Callable[[str], Any]]]:
    """Return the columns that hold no text, with what makes numbers or booleans of their texts.

    They are for values that `ColumnKinds.look` has seen: no other is looked at again.
    """
    return [(column, _CONVERTERS[kind]) for column, kind in kinds.items() if kind != "text"]


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


_CONVERTERS: Final[Mapping[Kind, Callable[[str], Any]]] = {"number": _number, "boolean": _TRUE.__contains__}


def as_declared(text: Any, kind: Kind) -> Any:
    """Return the number or boolean that *text* is, in a column that the import file says is of *kind*.

    Numbers need not print the same: `1.10` is 1.1. What is none stays text.
    """
    if kind == "text" or type(text) is not str:
        return text
    found = inferred(text)
    return found if type(found) in _TYPES[kind] else text


def joined(one: Kind | None, other: Kind) -> Kind:
    """Return the kind of a column that has values of both."""
    return other if one is None or one == other else "text"


class ColumnKinds:
    """The kinds of columns as far as they are known; `look` learns more of records of CSV."""

    def __init__(self, known: Mapping[str, Kind], nothing: frozenset[str]) -> None:
        """Begin with *known*; texts in *nothing* are no values."""
        self.kinds: dict[str, Kind] = dict(known)
        self._nothing = nothing

    def look(self, chunk: RecordChunk) -> bool:
        """Learn the kinds of the columns of *chunk*; return whether something is new."""
        records = [record for record in chunk.records if type(record) is dict]
        is_new = False
        for column in _names(records):
            known = self.kinds.get(column)
            if known == "text":
                continue
            if known == "number" and "" in self._nothing and _are_numbers(records, column):
                continue
            texts = {record.get(column) for record in records if type(record.get(column)) is str}
            kind: Kind | None = known
            for text in texts - self._nothing:
                kind = joined(kind, kind_of(text))
            if kind is not None and kind != known:
                self.kinds[column] = kind
                is_new = True
        return is_new


def _are_numbers(records: list[dict[str, Any]], column: str) -> bool:
    """Whether all values of a column are plain numbers, or nothing; may be False where a longer look finds numbers."""
    try:
        return _PLAIN.fullmatch("\n".join([record[column] for record in records])) is not None
    except (KeyError, TypeError):
        return False


def _names(records: list[dict[str, Any]]) -> dict[str, None]:
    """Return the names of all columns; rows of one table have the same."""
    if not records:
        return {}
    width = len(records[0])
    if all(len(record) == width for record in records):
        return dict.fromkeys(records[0])
    return dict.fromkeys(name for record in records for name in record)
