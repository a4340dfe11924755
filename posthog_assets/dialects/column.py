"""One column of a record, as an import file names it.

Belongs here: where its value stands, and what text without a type says. Does not belong here: what the value means to
a dialect.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from pydantic import Field, field_validator

from posthog_assets.core.sections import Section, TimeZone
from posthog_assets.core.timestamps import pattern_flaw

_INTEGER: Final = re.compile(r"-?(0|[1-9]\d{0,306})")
_FLOAT: Final = re.compile(r"-?(0|[1-9]\d{0,15})\.\d{1,17}")

#: No list has so many items that the place of one has more digits; Python refuses to read more than 4,300.
_MOST_DIGITS: Final = 19

#: A column that is not there, in contrast to one that holds null.
ABSENT: Final = object()


class Column(Section):
    """The name of a column, or the path `a.b.0.c` into nested values (a column named so literally comes first)."""

    column: str = Field(min_length=1, description="Name of a column, or the path a.b.0.c into nested values")

    def values(self, records: list[dict[str, Any]]) -> list[Any]:
        """Return the value in each record, `ABSENT` where there is none."""
        name = self.column
        if "." not in name:
            return [record.get(name, ABSENT) for record in records]
        keys = name.split(".")
        return [record[name] if name in record else _descend(record, keys) for record in records]

    def value(self, record: dict[str, Any]) -> Any:
        """Return the value in *record*, None where there is none."""
        (found,) = self.values([record])
        return None if found is ABSENT else found


class Value(Section):
    """A constant."""

    value: str = Field(min_length=1, description="The same for all records")


class TimestampColumn(Column):
    """Where the time of an event stands, and how it reads."""

    timezone: TimeZone = Field("UTC", description="Zone of times that have none")
    format: str | None = Field(None, description="strptime pattern; absent: ISO 8601, an epoch, or digits of a date")
    unit: Literal["s", "ms", "us", "ns"] | None = Field(None, description="Of epochs; absent: by the magnitude")

    @field_validator("format")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None and (flaw := pattern_flaw(value)):
            raise ValueError(f"is no strptime pattern: {flaw}")
        return value


def _descend(value: Any, keys: list[str]) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, ABSENT)
        elif isinstance(value, list) and key.isdecimal() and len(key) < _MOST_DIGITS and int(key) < len(value):
            value = value[int(key)]
        else:
            return ABSENT
    return value


def exact(text: str) -> Any:
    """Return the number or boolean whose JSON *text* is; what JSON would write otherwise stays text."""
    found = inferred(text)
    return found if type(found) is not float or repr(found) == text else text


def inferred(text: str) -> Any:
    """Return the number or boolean that a text is in a field of numbers, `1.10` too; anything else stays text.

    Whole numbers are exact, however large they are, as `core.json_text.load_any` reads them in JSON.
    """
    if text in ("true", "false", "True", "False", "TRUE", "FALSE"):
        return text[0] in "tT"
    if text[:1].isdigit() or text[:1] == "-":
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text
