"""Where all records went that a source read to find those of a day: the row equation begins at the source.

Belongs here: the numbers, and the sentences about records that are of no day. Does not belong here: which day a record
is of (`files.record_days`), keeping the numbers (`manifest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

#: The day, in counts, of records that have none.
WITHOUT_DAY: Final = ""


@dataclass(frozen=True, slots=True)
class Account:
    """Where the records went: `records` = `in_days` + `without_day` + `outside` + `repeated`.

    `without_day` are rejected rows of the first day, as a rule. `outside` are those of days that are not the import's;
    `first_outside` and `last_outside` are the ends of these. `repeated`: delivered more than once, kept once.
    `read_as` changes when records would be given to days by another rule. `of_one_day`: of the reading of one day,
    whose `outside` are records of other days; else of the records of all days, as they were at that export.
    """

    read_as: str
    records: int
    in_days: int
    without_day: int
    outside: int
    first_outside: str | None = None
    last_outside: str | None = None
    repeated: int = 0
    of_one_day: bool = False

    @classmethod
    def of_days(cls, read_as: str, counts: Mapping[str, int], first: date, last: date | None) -> Account:
        """Return the account of *counts*, records by day (`2024-03-01`), for an import from *first* to *last*."""
        start, end = first.isoformat(), last.isoformat() if last else ""
        outside = sorted(day for day in counts if day != WITHOUT_DAY and (day < start or (end and day > end)))
        records, beyond = sum(counts.values()), sum(counts[day] for day in outside)
        without = counts.get(WITHOUT_DAY, 0)
        return cls(
            read_as, records, records - beyond - without, without, beyond,
            outside[0] if outside else None, outside[-1] if outside else None,
        )  # fmt: skip

    def warnings(self, first: date, last: date | None) -> list[str]:
        """Return a sentence for each kind of record that is of no day of an import from *first* to *last*."""
        words = []
        if self.without_day:
            where = (
                "every day that is delivered them has them as rows" if self.of_one_day else f"they are rows of {first}"
            )
            words.append(
                f"{self.without_day:,} of {self.records:,} records have no day that can be read or be true: {where}"
            )
        if self.outside and not self.of_one_day:
            words.append(
                f"{self.outside:,} of {self.records:,} records lie outside the import's days, {first} to "
                f"{last or 'today'}, and are not imported: they are of {self.first_outside} to {self.last_outside}"
            )
        return words
