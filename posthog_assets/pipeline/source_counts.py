"""Holding an import against the numbers of its source: per day and event, what arrived, and what became of the rest.

Belongs here: both sides, by the same days and names, and the difference. Does not belong here: asking a vendor
(`sources`), Dagster, or what is printed.

An event's name is compared as PostHog has it: the source's names go through the dialect's table and `mapping.events`.
Its day is that of its time in the zone in which the source counts, whichever partition it came with. A record that the
dialect rejected has neither name nor time any more: it counts for the day of its partition, and explains what is
missing there under any name.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from io import TextIOWrapper
from typing import Final

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posthog_assets.core.arrow_columns import pack
from posthog_assets.core.errors import ImportFileError, MissingUpstream, shorten
from posthog_assets.core.partitions import key_of
from posthog_assets.core.rejection import Rejected, is_on_purpose
from posthog_assets.core.schemas import SOURCE_COUNTS
from posthog_assets.destination.entries import Known
from posthog_assets.destination.ledger import Ledger
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.source_counts import SourceCounts
from posthog_assets.pipeline.upstream import stored_events
from posthog_assets.sources.amplitude import Amplitude
from posthog_assets.sources.amplitude_counts import amplitude_counts
from posthog_assets.sources.mixpanel.counts import mixpanel_counts
from posthog_assets.sources.mixpanel.events import Mixpanel
from posthog_assets.storage.layout import source_counts_path, staged_path
from posthog_assets.storage.parquet import groups_where, read_batches, read_table

#: Names of which an API is asked, where the import file names none: Mixpanel answers 60 questions an hour.
MOST_NAMES: Final = 50

#: Reasons of records that are in the source more than once.
_REPEATS: Final = ("repeats an earlier record", "replaced by a newer version")

#: A day, and an event's name in PostHog.
Place = tuple[date, str]


@dataclass
class Row:
    """One day and event: how many the source counts, and what became of ours; `unnamed` are rejected by the dialect."""

    day: date
    event: str
    source: int = 0
    arrived: int = 0
    rejected: int = 0
    left_out: int = 0
    repeated: int = 0
    dropped: int = 0
    owed: int = 0
    unnamed: int = 0

    @property
    def known(self) -> int:
        """How many of the source's events this import has met."""
        return self.arrived + self.rejected + self.left_out + self.repeated + self.dropped + self.owed + self.unnamed

    @property
    def unexplained(self) -> int:
        """How many the source counts beyond those; negative: how many this import has beyond the source."""
        return self.source - self.known

    def agrees(self, tolerance: float) -> bool:
        return abs(self.unexplained) <= tolerance * max(self.source, self.known)


@dataclass
class Comparison:
    """What was compared; `not_asked` are events of the import of which the source has given no number."""

    tolerance: float
    rows: list[Row] = field(default_factory=list)
    not_asked: list[str] = field(default_factory=list)

    @property
    def differing(self) -> list[Row]:
        """The rows that differ unexplained, the largest difference first."""
        wrong = (row for row in self.rows if not row.agrees(self.tolerance))
        return sorted(wrong, key=lambda row: (-abs(row.unexplained), row.day, row.event))

    @property
    def words(self) -> str:
        """One sentence: how much agrees, or what differs most."""
        source, arrived = (sum(getattr(row, name) for row in self.rows) for name in ("source", "arrived"))
        said = f"of {source:,} events that the source counts, {arrived:,} arrived"
        if not self.differing:
            return f"{said}; what became of the others is known, to {self.tolerance:.1%}"
        most = self.differing[0]
        more = "fewer" if most.unexplained > 0 else "more"
        return (
            f"{said}; {len(self.differing):,} of {len(self.rows):,} days and events differ unexplained, most of all "
            f"{shorten(most.event, 80)} of {most.day}: {abs(most.unexplained):,} {more} than the source counts"
        )


def compare_with_source(imp: Import, first: date | None = None, last: date | None = None) -> Comparison:
    """Compare the imported days from *first* to *last* (both included) with the source, and store the result.

    Raises:
        ImportFileError: there is nothing to compare with, or the file of counts is wrong.
        MissingUpstream: no day is mapped.
        SourceRefused, SourceUnavailable: the source's API.
    """
    settings = imp.source_counts
    if settings is None:
        raise ImportFileError(f"{imp.name} has no section source_counts: it says where the source's own numbers are")
    days = [day for day in _mapped_days(imp) if (first or day) <= day <= (last or day)]
    if not days:
        raise MissingUpstream(f"{imp.name}/posthog_events has none of these days yet: materialize it first")
    zone = settings.timezone or getattr(imp.source, "timezone", None) or "UTC"
    ours, names = _ours(imp, days, zone)
    comparison = Comparison(settings.tolerance)
    theirs, asked = _theirs(imp, settings, days, names, comparison)
    comparison.rows = _rows(ours, theirs, asked, days, _unnamed(imp, days))
    rows = [asdict(row) | {"unexplained": row.unexplained} for row in comparison.rows]
    with imp.store.atomic_write(source_counts_path()) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=SOURCE_COUNTS), path)
    return comparison


def stored_comparison(imp: Import) -> Comparison | None:
    """Return what the last comparison found; None where there was none."""
    try:
        with imp.store.open(source_counts_path()) as file:
            rows = read_table(file).drop_columns(["unexplained"]).to_pylist()
    except FileNotFoundError:
        return None
    return Comparison(imp.source_counts.tolerance if imp.source_counts else 0.0, [Row(**row) for row in rows])


def _mapped_days(imp: Import) -> list[date]:
    names = (name.removesuffix(".parquet") for name in imp.store.names("posthog_events"))
    found = []
    for name in names:
        try:
            found.append(date.fromisoformat(name))
        except ValueError:
            continue
    return sorted(found)


_KINDS: Final = ("arrived", "dropped", "owed", "rejected", "left_out", "repeated")


def _ours(imp: Import, days: list[date], zone: str) -> tuple[dict[Place, Counter[str]], Counter[str]]:
    """Return what became of the import's records, by day and name, and how many there are of each name."""
    found: dict[Place, Counter[str]] = {}
    names: Counter[str] = Counter()
    columns = ["uuid", "event", "timestamp", "reject_reason", "raw_part"]
    for partition in days:
        known = Ledger(imp.store, key_of(partition)).load()
        for batch in stored_events(imp.store, partition, columns):
            # What is derived is no record of the source.
            records = batch.filter(pc.is_valid(batch["raw_part"]))
            kinds = _verdicts(known, records["uuid"])
            for index in pc.indices_nonzero(pc.is_valid(records["reject_reason"])).to_pylist():
                kinds[index] = _KINDS.index(_kind_of(records["reject_reason"][index].as_py()))
            table = pa.table({"day": _days(records["timestamp"], zone), "event": records["event"], "kind": kinds})
            for item in table.group_by(["day", "event", "kind"]).aggregate([([], "count_all")]).to_pylist():
                if item["event"] is not None:
                    counts = found.setdefault((item["day"], item["event"]), Counter())
                    counts[_KINDS[item["kind"]]] += item["count_all"]
                    names[item["event"]] += item["count_all"]
    return found, names


def _verdicts(known: Known, uuids: pa.Array) -> np.ndarray:
    """Return the place in `_KINDS` of what PostHog said of each event: it arrived, was dropped, or is owed."""
    owed = _KINDS.index("owed")
    if not len(known) or not len(uuids):
        return np.full(len(uuids), owed)
    where = known.find(pack(uuids))
    place = np.maximum(where, 0)
    kinds = np.select([known.acknowledged[place], known.dropped[place]], [0, 1], owed)
    kinds[where < 0] = owed
    return kinds


def _kind_of(reason: str) -> str:
    if reason.startswith(_REPEATS):
        return "repeated"
    return "left_out" if is_on_purpose(reason) else "rejected"


def _days(stamps: pa.Array, zone: str) -> pa.Array:
    return pc.local_timestamp(stamps.cast(pa.timestamp("us", zone))).cast(pa.date32())


def _unnamed(imp: Import, days: list[date]) -> Counter[date]:
    """Return how many records of each partition the dialect rejected, without a name or a time."""
    counts: Counter[date] = Counter()
    for day in days:
        if imp.store.exists(staged_path(day)):
            with imp.store.open(staged_path(day)) as file:
                groups = groups_where(file, "reject_reason", lambda reasons: reasons.null_count != len(reasons))
                for batch in read_batches(file, ["reject_reason"], groups=groups):
                    counts[day] += len(batch) - batch["reject_reason"].null_count
    return counts


def _theirs(
    imp: Import, settings: SourceCounts, days: list[date], names: Counter[str], comparison: Comparison
) -> tuple[Counter[Place], set[str]]:
    """Return what the source counts, by day and name in PostHog, and the names it was asked about."""
    posthog_name = _Names(imp)
    if settings.path:
        counts = list(_of_file(settings))
        asked = {event for _, event, _ in counts}
    else:
        wanted = settings.events or [
            name for known, _ in names.most_common(MOST_NAMES) for name in posthog_name.in_source(known)
        ]
        asked = set(wanted)
        counts = list(_of_api(imp, days[0], days[-1], sorted(asked)))
    found: Counter[Place] = Counter()
    for day, event, count in counts:
        if not settings.events or event in settings.events:
            found[day, posthog_name(event)] += count
    compared = {posthog_name(name) for name in asked if not settings.events or name in settings.events}
    comparison.not_asked = sorted(set(names) - compared)
    return found, compared


class _Names:
    """What the source's events are called in PostHog."""

    def __init__(self, imp: Import) -> None:
        self._named = getattr(imp.dialect, "named", None)
        self._table: dict[str, str] = dict(getattr(imp.dialect, "names", {}))
        self._mapped = imp.mapping.events

    def __call__(self, name: str) -> str:
        try:
            staged = str(self._named(name)) if self._named else name
        except Rejected:
            staged = name
        # What is not imported stays in posthog_events by its old name, with the reason.
        return self._mapped.get(staged) or staged

    def in_source(self, name: str) -> list[str]:
        """Return the names in the source of what PostHog calls *name*; calls that only PostHog knows have none."""
        staged = [old for old, new in self._mapped.items() if new == name] or [name]
        found = [old for one in staged for old in ([o for o, n in self._table.items() if n == one] or [one])]
        return [] if name in ("$identify", "$create_alias", "$groupidentify", "$set") else found


def _of_api(imp: Import, first: date, last: date, names: list[str]) -> Iterator[tuple[date, str, int]]:
    match imp.source:
        case Mixpanel():
            yield from mixpanel_counts(imp.source, first, last, names)
        case Amplitude():
            yield from amplitude_counts(imp.source, first, last, names)
        case _:
            raise ImportFileError(
                f"the source {imp.source.type} does not say how many events it counts: give source_counts.path, a CSV "
                "with the columns day, event, count"
            )


def _of_file(settings: SourceCounts) -> Iterator[tuple[date, str, int]]:
    assert settings.path
    try:
        with fsspec.open(settings.path, "rb", compression="infer", **settings.storage_options) as file:
            reader = csv.DictReader(TextIOWrapper(file, encoding="utf-8-sig", newline=""))
            missing = {"day", "event", "count"} - set(reader.fieldnames or ())
            if missing:
                raise ImportFileError(
                    f"source_counts.path {settings.path} lacks the column {', '.join(sorted(missing))}: its first line "
                    "must be day,event,count"
                )
            for row in reader:
                try:
                    yield date.fromisoformat(row["day"].strip()[:10]), row["event"], int(row["count"].replace(",", ""))
                except (ValueError, AttributeError):
                    raise ImportFileError(
                        f"source_counts.path {settings.path}, line {reader.line_num}: {shorten(dict(row))} is not a "
                        "day (2024-03-01), an event and a whole number"
                    ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImportFileError(f"source_counts.path {settings.path} cannot be read: {error}") from None


def _rows(
    ours: dict[Place, Counter[str]], theirs: Counter[Place], asked: set[str], days: list[date], unnamed: Counter[date]
) -> list[Row]:
    """Return a row for each imported day and each name that the source was asked about, where either side has one."""
    imported = set(days)
    places = {place for place in (*ours, *theirs) if place[0] in imported and place[1] in asked}
    rows = [Row(day, event, theirs[day, event], **ours.get((day, event), Counter())) for day, event in sorted(places)]
    left = unnamed.copy()
    for row in rows:
        if row.unexplained > 0 and left[row.day]:
            row.unnamed = min(row.unexplained, left[row.day])
            left[row.day] -= row.unnamed
    return [row for row in rows if row.source or row.known]
