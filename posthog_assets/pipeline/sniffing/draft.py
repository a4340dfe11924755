"""Making the attributes of an import file from an export.

Belongs here: putting together what was found out of files, columns and days. Does not belong here: finding it out
(`framing`, `layout`, `columns`), databases (`tables`), or how the file is written (`yaml_text`).
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.counted import counted
from posthog_assets.core.errors import BrokenPart, ImportFileError
from posthog_assets.core.records import RecordChunk
from posthog_assets.core.rejection import reason_head
from posthog_assets.dialects import DIALECTS, Dialect, load_dialect
from posthog_assets.dialects.base import NEWEST_EDITION
from posthog_assets.dialects.recognition import Recognition, recognize
from posthog_assets.pipeline.sniffing.columns import guess_roles
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding
from posthog_assets.pipeline.sniffing.framing import sniff_framing
from posthog_assets.pipeline.sniffing.layout import Layout, find_layout, refuse_nothing, whole_path
from posthog_assets.pipeline.sniffing.sampling import Sample, flattened, read_on, read_sample
from posthog_assets.sources.files.locations import Location
from posthog_assets.sources.files.record_days import at_path
from posthog_assets.sources.files.source import Files
from posthog_assets.sources.formats import Compression
from posthog_assets.sources.formats.unfold import unfolded

#: How long all records are read to find the first and the last day; larger exports are sampled.
_SECONDS: Final = 2.5
#: No machine reads as many bytes in that time, plain or compressed: that is not even begun.
_READABLE: Final = 256 << 20
_READABLE_PACKED: Final = 32 << 20
_SAMPLED_FILES: Final = 3


@dataclass
class Draft:
    """The attributes of an import file, why they are these, and records of the export (as they were read)."""

    attributes: dict[str, Any]
    findings: list[Finding]
    records: list[dict[str, Any]]
    untyped: bool = False
    first_day: date | None = None
    last_day: date | None = None
    #: A day that has records.
    sample_day: date | None = None
    #: What the dialect made of the sampled records: so many, and why others are rejected.
    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def finding(self, setting: str) -> Finding | None:
        return next((found for found in self.findings if found.setting == setting), None)

    @property
    def unsure(self) -> list[Finding]:
        return [found for found in self.findings if found.certainty is Certainty.UNSURE]


@dataclass
class Times:
    """The instants of records, as a dialect reads them, by UTC day; `whole` says that no record is left out."""

    days: Counter[date] = field(default_factory=Counter)
    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    whole: bool = False

    def add(self, dialect: Dialect, chunk: RecordChunk) -> None:
        staged = dialect.stage(chunk, "sample")
        good = staged.filter(pc.is_null(staged["reject_reason"]))
        self.read += staged.num_rows
        for reason in staged["reject_reason"].drop_null().to_pylist():
            self.rejected[reason_head(reason)] += 1
        days = pc.value_counts(good["timestamp"].cast(pa.timestamp("us")).cast(pa.date32()))
        self.days.update({item["values"]: item["counts"] for item in days.to_pylist()})

    @property
    def lost(self) -> int:
        """Records that are rejected and were not left out on purpose."""
        return sum(count for reason, count in self.rejected.items() if not reason.startswith("left out"))


def sniff_files(name: str, where: str, options: dict[str, Any] | None = None) -> Draft:
    """Return the draft of an import of the files at *where*: a file, a folder, a glob; local or any fsspec URL.

    Raises:
        NoExport, SourceError: there is nothing there, or it cannot be read.
        ImportFileError: what is there is no export that can be read.
    """
    options = options or {}
    layout = find_layout(where, options)
    refuse_nothing(layout)
    location = Location(layout.path, options)
    first = next(file for file in layout.files if file.size != 0)
    with location.open(first) as opened:
        settings, findings = sniff_framing(first.path.rsplit("/", 1)[-1], opened)
    # Enough of a source to read files by: it needs a day in its path, or a column.
    probe = Files.model_validate({"path": "{day}", "storage_options": options, **settings})
    samples = [read_sample(location, file, probe) for file in _spread(layout)]
    records = [record for sample in samples for record in sample.records]
    if not records:
        raise ImportFileError(f"{first.url}: no record of it can be read: {_why_none(samples)}")
    dialect, found = _dialect_of(records, first.path)
    findings += found
    unfold = DIALECTS[dialect["type"]].unfolds
    if unfold and any(isinstance(record.get(unfold), list) for record in records):
        settings["unfold"] = unfold
        findings.append(Finding("source.unfold", unfold, Certainty.SURE, "each record holds a list of events"))
        probe = Files.model_validate({"path": "{day}", "storage_options": options, **settings})
    draft = Draft({}, findings, records, any(sample.untyped for sample in samples))
    _fill(draft, name, layout, location, probe, samples, settings, dialect)
    return draft


def _spread(layout: Layout) -> list[Any]:
    """Return the first, a middle and the last file that hold something."""
    files = [file for file in layout.files if file.size != 0]
    places = {0, len(files) // 2, len(files) - 1}
    return [files[place] for place in sorted(places)][:_SAMPLED_FILES]


def _why_none(samples: Sequence[Sample]) -> str:
    reasons = Counter(reason for sample in samples for reason in sample.flaws)
    return reasons.most_common(1)[0][0] if reasons else "it is empty"


def _dialect_of(records: list[dict[str, Any]], path: str) -> tuple[dict[str, Any], list[Finding]]:
    """Return the `dialect` section for *records*, and why."""
    if known := recognize(records):
        return _of_vendor(known, records, path)
    roles = guess_roles(records)
    if not roles.is_usable:
        raise ImportFileError(_unusable(roles.timestamp, records))
    section: dict[str, Any] = {"type": "columns"}
    findings = [Finding("dialect.type", "columns", Certainty.LIKELY, "the fields are none that a vendor is known by")]
    if roles.event:
        section["event"] = {"column": roles.event}
    else:
        value = event_name_of(path)
        section["event"] = {"value": value}
        findings.append(
            Finding(
                "dialect.event", value, Certainty.UNSURE, "no column names the event: a constant, from the file's name"
            )
        )
    for role in ("user_id", "anonymous_id"):
        if column := getattr(roles, role):
            section[role] = {"column": column}
    section["timestamp"] = {"column": roles.timestamp}
    if not roles.is_zoned:
        section["timestamp"]["timezone"] = "UTC"
        findings.append(
            Finding("dialect.timestamp.timezone", "UTC", Certainty.UNSURE, "the times do not say their zone")
        )
    if roles.source_id:
        section["source_id"] = {"column": roles.source_id}
    return section, findings + roles.findings


def _of_vendor(
    known: list[Recognition], records: list[dict[str, Any]], path: str
) -> tuple[dict[str, Any], list[Finding]]:
    best = known[0]
    certainty = Certainty.SURE if best.share >= 0.9 and len(best.marks) > 1 else Certainty.LIKELY
    words = f"{best.share:.0%} of the sampled records are known by {', '.join(best.marks)}"
    if others := [found.dialect for found in known[1:]]:
        words += f"; {', '.join(others)} would read them too"
    findings = [Finding("dialect.type", best.dialect, certainty, words)]
    section: dict[str, Any] = {"type": best.dialect}
    if (
        best.dialect == "heap"
        and not any("event_table_name" in record for record in records)
        and "event_id" in records[0]
    ):
        table = event_name_of(path).replace(" ", "_")
        section["table"] = table
        findings.append(
            Finding("dialect.table", table, Certainty.LIKELY, "the rows do not say theirs: the file's name")
        )
    return section, findings


def _unusable(time: str | None, records: list[dict[str, Any]]) -> str:
    missing = "a column with the time of an event" if not time else "a column that says who did it (a user or device)"
    columns = list(dict.fromkeys(path for record in records[:50] for path, _ in flattened(record)))
    shown = ", ".join(columns[:30]) + (f" and {len(columns) - 30} more" if len(columns) > 30 else "")
    return (
        f"found no {missing.removeprefix('a ')} among: {shown}. If one of them is it, write the import file yourself: "
        "posthog-assets init NAME --source files gives a template"
    )


def of_newest_edition(section: dict[str, Any]) -> dict[str, Any]:
    """Return a `dialect` section whose records read by today's rules: nothing is imported yet that could change."""
    return {"type": section["type"], "edition": NEWEST_EDITION} | section


def event_name_of(path: str) -> str:
    """Return a name for the events of a file that does not name them: the file's own, without dates and suffixes."""
    stem = path.rsplit("/", 1)[-1].split(".")[0]
    words = [word for word in re.split(r"[^A-Za-z]+", stem) if len(word) > 1]
    return "_".join(words).lower() or "event"


def _fill(
    draft: Draft, name: str, layout: Layout, location: Location, probe: Files, samples: list[Sample],
    settings: dict[str, Any], section: dict[str, Any],
) -> None:  # fmt: skip
    """Find the days, and complete the draft."""
    dialect = load_dialect(section)
    sampled = Times(whole=all(sample.whole for sample in samples) and len(samples) == len(layout.files))
    for sample in samples:
        chunk = RecordChunk(sample.chunk().positions, copy.deepcopy(sample.records), sample.untyped)
        for some in _unfolded(chunk, probe.unfold):
            sampled.add(dialect, some)
        sampled.read += len(sample.flaws)
        sampled.rejected.update(reason_head(flaw) for flaw in sample.flaws)
    draft.read, draft.rejected = sampled.read, sampled.rejected
    if not sampled.days:
        reasons = "; ".join(f"{reason} ({count:,})" for reason, count in sampled.rejected.most_common(3))
        raise ImportFileError(f"{layout.path}: none of {sampled.read:,} sampled records becomes an event: {reasons}")
    by_path = layout.names_days and _paths_say_the_day(layout, samples, sampled)
    source: dict[str, Any] = {"type": "files", "path": layout.path if by_path else whole_path(layout)}
    if by_path:
        first, last = layout.days[0], layout.days[-1]
        draft.findings.append(_path_finding(layout))
        draft.sample_day = _day_of(layout, samples)
    else:
        column = _day_column(dialect, draft.records)
        source["day_column"] = column
        times = _all_times(sampled, layout, location, probe, dialect)
        first, last = min(times.days), max(times.days)
        draft.findings.append(_days_finding(column, layout, times, first, last))
        draft.sample_day = times.days.most_common(1)[0][0]
        draft.last_day = last if times.whole else None
    draft.first_day = first
    draft.last_day = last if by_path else draft.last_day
    source |= settings
    if options := probe.storage_options:
        source["storage_options"] = options
    draft.attributes = {"name": name, "start_date": first.isoformat()}
    if draft.last_day:
        draft.attributes["end_date"] = draft.last_day.isoformat()
    draft.attributes |= {"source": source, "dialect": of_newest_edition(section)}


def _unfolded(chunk: RecordChunk, name: str | None) -> Iterable[RecordChunk]:
    return unfolded([chunk], name, 1_000) if name else [chunk]


def _paths_say_the_day(layout: Layout, samples: Sequence[Sample], sampled: Times) -> bool:
    """Whether a path's day is that of its records: of one file, all of whose records span more days, it is not."""
    if len(layout.days) > 1:
        return True
    days = sorted(sampled.days)
    near = [day for day in days if abs((day - layout.days[0]).days) <= 1]
    return sum(sampled.days[day] for day in near) >= 0.5 * sampled.days.total() or len(days) <= 3


def _path_finding(layout: Layout) -> Finding:
    days, files = layout.days, len(layout.files)
    span = f"{days[0]} to {days[-1]}" if len(days) > 1 else f"{days[0]}"
    gaps = (days[-1] - days[0]).days + 1 - len(days)
    words = f"{counted(files, 'file')} of {counted(len(days), 'day')}, {span}"
    if gaps:
        words += f"; {gaps:,} days between have no file"
    return Finding("source.path", layout.path, Certainty.SURE, words)


def _day_of(layout: Layout, samples: Sequence[Sample]) -> date:
    """Return the day of the first sampled file that has records."""
    order = sorted(layout.files, key=lambda file: file.path)
    best = max(samples, key=lambda sample: bool(sample.records))
    place = order.index(best.file)
    if len(order) == len(layout.days):
        return layout.days[place]
    text = best.file.path
    return next((day for day in layout.days if any(f"{day:{form}}" in text for form in
                 ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%m-%d-%Y", "%Y_%m_%d"))), layout.days[0])  # fmt: skip


def _day_column(dialect: Dialect, records: Sequence[dict[str, Any]]) -> str:
    """Return the column that says a record's day: the first of the dialect's clocks that most records have."""
    paths = (dialect.time_column,) if dialect.time_column else dialect.day_columns
    for path in paths:
        if sum(at_path(record, path) not in (None, "") for record in records) >= 0.5 * len(records):
            return path
    raise ImportFileError(
        f"the files hold several days, and none of the columns {', '.join(paths)} says the day of most records"
    )


def _is_too_large(layout: Layout, probe: Files) -> bool:
    """Whether the files cannot be read to their end in the time there is."""
    packed = probe.framing(layout.files[0]).compression is not Compression.NONE
    size = sum(file.size or 0 for file in layout.files)
    return size > (_READABLE_PACKED if packed else _READABLE)


def _all_times(sampled: Times, layout: Layout, location: Location, probe: Files, dialect: Dialect) -> Times:
    """Return the days of all records, where they are read in time; else those of the samples and what was read."""
    if sampled.whole or _is_too_large(layout, probe):
        return sampled
    times = Times(whole=True)
    try:
        for chunk in read_on(location, layout.files, probe, _SECONDS):
            if chunk is None:
                times.whole = False
                break
            times.add(dialect, chunk)
    except BrokenPart:
        times.whole = False
    times.days.update(sampled.days)
    return times


def _days_finding(column: str, layout: Layout, times: Times, first: date, last: date) -> Finding:
    files = "one file holds" if len(layout.files) == 1 else f"{len(layout.files):,} files hold"
    if times.whole:
        words = f"{files} all days: {len(times.days):,} days, {first} to {last}, by {column}"
        return Finding("source.day_column", column, Certainty.SURE, words)
    sampled = f"days are {first} to {last}" if last > first else f"only day is {first}"
    words = f"{files} all days; of a sample the {sampled}: earlier and later ones may exist"
    return Finding("source.day_column", column, Certainty.UNSURE, words)
