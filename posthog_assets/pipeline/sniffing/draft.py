"""Making the attributes of an import file from an export.

Belongs here: putting together what was found out of files, columns and days. Does not belong here: finding it out
(`framing`, `layout`, `dialect_section`, `days`), databases (`tables`), or how the file is written (`yaml_text`).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.records import RecordChunk
from posthog_assets.core.rejection import reason_head
from posthog_assets.dialects import DIALECTS, Dialect, load_dialect
from posthog_assets.dialects.recognition import recognize
from posthog_assets.pipeline.sniffing.columns import guess_roles
from posthog_assets.pipeline.sniffing.days import (
    Times,
    all_times,
    day_column,
    days_findings,
    path_finding,
    paths_say_the_day,
    sample_day_by_path,
)
from posthog_assets.pipeline.sniffing.dialect_section import dialect_section, of_newest_edition, refuse_several_vendors
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding
from posthog_assets.pipeline.sniffing.framing import sniff_framing
from posthog_assets.pipeline.sniffing.layout import Layout, find_layout, refuse_nothing, whole_path
from posthog_assets.pipeline.sniffing.sampling import Sample, read_sample
from posthog_assets.sources.files.locations import Location
from posthog_assets.sources.files.record_days import at_path
from posthog_assets.sources.files.source import Files
from posthog_assets.sources.formats.unfold import first_unfolded, unfolded

_SAMPLED_FILES: Final = 3
#: Files that are named one by one.
_NAMED: Final = 3


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


def sniff_files(
    name: str, where: str, options: dict[str, Any] | None = None, columns: Mapping[str, str] | None = None
) -> Draft:
    """Return the draft of an import of the files at *where*: a file, a folder, a glob; local or any fsspec URL.

    *columns* are those that are known already, by role: `{"user_id": "who"}`.

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
        raise ImportFileError(f"{first.path}: no record of it can be read: {_why_none(samples)}")
    refuse_several_vendors(samples)
    untyped = any(sample.untyped for sample in samples)
    if unfold := _wrapping(records, layout, columns):
        settings["unfold"] = unfold
        words = "each file is one object, and its records are in this list"
        findings.append(Finding("source.unfold", unfold, Certainty.LIKELY, words))
    dialect, found = dialect_section(_inside(records, unfold), first.path, columns or {}, untyped=untyped)
    findings += found
    members = DIALECTS[dialect["type"]].unfolds
    if members and any(isinstance(record.get(members), list) for record in records):
        settings["unfold"] = members
        findings.append(Finding("source.unfold", members, Certainty.SURE, "each record holds a list of events"))
    probe = Files.model_validate({"path": "{day}", "storage_options": options, **settings})
    draft = Draft({}, findings, records, untyped)
    _fill(draft, name, layout, location, probe, samples, settings, dialect)
    return draft


def _spread(layout: Layout) -> list[Any]:
    """Return the first, a middle and the last file that hold something."""
    files = [file for file in layout.files if file.size != 0]
    places = {0, len(files) // 2, len(files) - 1}
    return [files[place] for place in sorted(places)][:_SAMPLED_FILES]


def _why_none(samples: Sequence[Sample]) -> str:
    reasons = Counter(reason for sample in samples for reason in sample.flaws)
    return reasons.most_common(1)[0][0] if reasons else "it has none"


def _wrapping(records: list[dict[str, Any]], layout: Layout, columns: Mapping[str, str] | None) -> str | None:
    """Return the list that holds the records, where each file is one object around it.

    Raises:
        ImportFileError: the files do not say their day, so that one object would have to be split into days.
    """
    if columns or len(records) > _SAMPLED_FILES or recognize(records) or guess_roles(records).is_usable:
        return None
    lists = [{key for key, value in record.items() if _is_list_of_objects(value)} for record in records]
    found = set.intersection(*lists)
    if len(found) != 1:
        return None
    (name,) = found
    if not layout.names_days:
        raise ImportFileError(
            f"{layout.files[0].path} is one object, and its records are in the list {name!r}. Such a file is read only "
            f"where its path names its day ({{day}}); write the records one on each line: "
            f"jq -c '.{name}[]' FILE > FILE.jsonl, and point --from at that"
        )
    return name


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(member, dict) for member in value)


def _inside(records: list[dict[str, Any]], unfold: str | None) -> list[dict[str, Any]]:
    if not unfold:
        return records
    chunk = RecordChunk(range(1, len(records) + 1), list(records))
    return [record for record in first_unfolded(chunk, unfold) if isinstance(record, dict)]


def _fill(
    draft: Draft, name: str, layout: Layout, location: Location, probe: Files, samples: list[Sample],
    settings: dict[str, Any], section: dict[str, Any],
) -> None:  # fmt: skip
    """Find the days, and complete the draft."""
    dialect = load_dialect(section)
    by_sample = [(sample, _times_of(sample, dialect, probe.unfold)) for sample in samples]
    sampled = Times(whole=all(sample.whole for sample in samples) and len(samples) == len(layout.files))
    for _, times in by_sample:
        sampled.join(times)
    draft.read, draft.rejected = sampled.read, sampled.rejected
    if not sampled.days:
        reasons = "; ".join(f"{reason} ({count:,})" for reason, count in sampled.rejected.most_common(3))
        raise ImportFileError(f"{layout.path}: none of {sampled.read:,} sampled records becomes an event: {reasons}")
    draft.findings += _of_files(layout, samples, dialect)
    by_path = paths_say_the_day(layout, by_sample)
    if draft.untyped and not by_path:
        _refuse_other_tables(samples, dialect)
    source: dict[str, Any] = {"type": "files", "path": layout.path if by_path else whole_path(layout)}
    if by_path:
        draft.first_day, draft.last_day = layout.days[0], layout.days[-1]
        draft.findings.append(path_finding(layout))
        draft.sample_day = sample_day_by_path(layout, samples)
    else:
        column = day_column(dialect, draft.records)
        source["day_column"] = column
        times = all_times(sampled, layout, location, probe, dialect)
        draft.findings += days_findings(column, layout, times)
        first, last = times.span
        draft.first_day, draft.last_day = first, last if times.whole else None
        draft.sample_day = max(times.days, key=lambda day: (first <= day <= last, times.days[day]))
    source |= settings
    if options := probe.storage_options:
        source["storage_options"] = options
    draft.attributes = {"name": name, "start_date": draft.first_day.isoformat()}
    if draft.last_day:
        draft.attributes["end_date"] = draft.last_day.isoformat()
    draft.attributes |= {"source": source, "dialect": of_newest_edition(section)}


def _times_of(sample: Sample, dialect: Dialect, unfold: str | None) -> Times:
    """Return what a dialect makes of a sample's records."""
    times = Times()
    chunk = RecordChunk(sample.chunk().positions, copy.deepcopy(sample.records), sample.untyped)
    for some in _unfolded(chunk, unfold):
        times.add(dialect, some)
    times.read += len(sample.flaws)
    times.rejected.update(reason_head(flaw) for flaw in sample.flaws)
    return times


def _unfolded(chunk: RecordChunk, name: str | None) -> Iterable[RecordChunk]:
    return unfolded([chunk], name, 1_000) if name else [chunk]


def _of_files(layout: Layout, samples: Sequence[Sample], dialect: Dialect) -> Iterable[Finding]:
    """Say which files are no part of the import, and which should not be."""
    if others := layout.other_exports:
        named = ", ".join(path.rsplit("/", 1)[-1] for path in others[:_NAMED])
        more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
        words = f"left out, being files of another format: {named}{more}. They need an import of their own"
        yield Finding("source.path", layout.path, Certainty.UNSURE, words)
    if without := ", ".join(sample.file.path.rsplit("/", 1)[-1] for sample in _without_time(samples, dialect)):
        words = f"without the column {dialect.time_column}: {without}. Name only the files that hold events"
        yield Finding("source.path", layout.path, Certainty.UNSURE, words)


def _without_time(samples: Sequence[Sample], dialect: Dialect) -> list[Sample]:
    """Return the samples that have no time of an event."""
    path = dialect.time_column
    if not path:
        return []
    return [
        sample for sample in samples if not any(at_path(record, path) not in (None, "") for record in sample.records)
    ]


def _refuse_other_tables(samples: Sequence[Sample], dialect: Dialect) -> None:
    """Raise ImportFileError where CSV files that would be split into days have no column that says the day."""
    if without := _without_time(samples, dialect):
        events = next(sample for sample in samples if sample not in without).file.path
        names = ", ".join(sample.file.path.rsplit("/", 1)[-1] for sample in without)
        raise ImportFileError(
            f"the files hold different tables: {names} {'has' if len(without) == 1 else 'have'} no column "
            f"{dialect.time_column}. Name only the files that hold events, such as --from {events}"
        )
