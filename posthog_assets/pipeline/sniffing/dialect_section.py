"""Writing the section `dialect` for records: a vendor's, or which column is what.

Belongs here: the section and why it is that. Does not belong here: a vendor's own marks (`dialects`), or what makes a
column an event, a user or a time (`columns`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from posthog_assets.core.errors import ImportFileError
from posthog_assets.dialects import DIALECTS
from posthog_assets.dialects.base import NEWEST_EDITION
from posthog_assets.dialects.recognition import Recognition, recognize
from posthog_assets.pipeline.sniffing.columns import Roles, guess_roles
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding
from posthog_assets.pipeline.sniffing.sampling import Sample, flattened, table_of

#: Texts that a database writes into CSV where there is no value.
_NULLS: Final = ("\\N", "NULL", "(null)", "<null>", "<NULL>", "null")
_DECIMAL_COMMA: Final = re.compile(r"-?\d{1,3}((\.\d{3})*|\d*),\d+")
#: Columns that a vendor's records have in a warehouse, or in CSV, where its own dialect does not know them.
_FLAT: Final = {
    "Mixpanel": frozenset({"$insert_id", "mp_lib", "$lib_version", "mp_country_code", "$mp_api_endpoint"}),
    "Segment or RudderStack": frozenset({"original_timestamp", "uuid_ts", "event_text", "context_library_name"}),
}


def dialect_section(
    records: list[dict[str, Any]], path: str, given: Mapping[str, str], *, untyped: bool
) -> tuple[dict[str, Any], list[Finding]]:
    """Return the section `dialect` for *records* of the file at *path*, and why; *given* are columns by role.

    Raises:
        ImportFileError: no vendor's dialect knows them, and no column has a time, or a user.
    """
    if not given and (known := recognize(records)):
        return _of_vendor(known, records, path)
    roles = guess_roles(records, given)
    if not roles.is_usable:
        raise ImportFileError(_unusable(roles, records))
    findings = [_columns_finding(records), *roles.findings]
    section: dict[str, Any] = {"type": "columns"}
    if roles.event:
        section["event"] = {"column": roles.event}
    else:
        value = event_name_of(path)
        section["event"] = {"value": value}
        words = "no column names the event: a constant, from the file's name"
        findings.append(Finding("dialect.event", value, Certainty.UNSURE, words))
    section |= columns_of(roles)
    if untyped and (nulls := _nulls_in(records)):
        section["nulls"] = ["", *nulls]
        words = f"{', '.join(nulls)} seems to stand for no value"
        findings.append(Finding("dialect.nulls", section["nulls"], Certainty.LIKELY, words))
    if untyped and (columns := _decimal_commas(records)):
        words = f"{', '.join(columns)}: numbers with a decimal comma, which stay text"
        findings.append(Finding("dialect.types", None, Certainty.UNSURE, words))
    return section, findings


def _columns_finding(records: Sequence[dict[str, Any]]) -> Finding:
    for vendor, fields in _FLAT.items():
        flat = sorted(fields & records[0].keys())
        if len(flat) > 1:
            words = (
                f"{', '.join(flat)} are columns of {vendor}, as in a warehouse; the dialect reads only the nested "
                "JSON of its export. So properties keep their names: see mapping.properties.rename"
            )
            return Finding("dialect.type", "columns", Certainty.UNSURE, words)
    words = "the fields are none that a vendor is known by"
    return Finding("dialect.type", "columns", Certainty.LIKELY, words)


def columns_of(roles: Roles) -> dict[str, Any]:
    """Return the settings of the dialect `columns` for the persons, the time and the id that were found."""
    section: dict[str, Any] = {}
    for role in ("user_id", "anonymous_id"):
        if column := getattr(roles, role):
            section[role] = {"column": column}
    section["timestamp"] = {"column": roles.timestamp}
    if roles.time_format:
        section["timestamp"]["format"] = roles.time_format
    if not roles.is_zoned:
        section["timestamp"]["timezone"] = "UTC"
    if roles.source_id:
        section["source_id"] = {"column": roles.source_id}
    return section


def refuse_several_vendors(samples: Sequence[Sample]) -> None:
    """Raise ImportFileError where the files hold records of several vendors: each needs an import of its own."""
    found: dict[str, str] = {}
    for sample in samples:
        if known := recognize(sample.records):
            found.setdefault(known[0].dialect, sample.file.path)
    types = [DIALECTS[name] for name in found]
    if any(not (issubclass(one, other) or issubclass(other, one)) for one in types for other in types):
        words = ", ".join(f"{name} ({path.rsplit('/', 1)[-1]})" for name, path in sorted(found.items()))
        raise ImportFileError(
            f"the files are of several vendors: {words}. Each needs an import of its own: point --from at one "
            f"vendor's files, such as --from {next(iter(found.values()))}"
        )


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


def _unusable(roles: Roles, records: list[dict[str, Any]]) -> str:
    role = "user_id" if roles.timestamp else "timestamp"
    missing = "with the time of an event" if role == "timestamp" else "that says who did it (a user or device)"
    columns = list(dict.fromkeys(path for record in records[:50] for path, _ in flattened(record)))
    shown = ", ".join(columns[:30]) + (f" and {len(columns) - 30} more" if len(columns) > 30 else "")
    return (
        f"found no column {missing} among: {shown}. If one of them is it, name it: --column {role}=COLUMN; else "
        "posthog-assets init NAME --source files gives a template to fill in"
    )


def _decimal_commas(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return the columns whose values are numbers as they are written in much of Europe, `1.234,5`."""
    return [
        path for path, values in table_of(records).items()
        if values and all(isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value.strip()) for value in values)
    ]  # fmt: skip


def _nulls_in(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return the texts in *records* that stand for no value."""
    seen = {value for record in records for value in record.values() if type(value) is str and value in _NULLS}
    return [text for text in _NULLS if text in seen]


def of_newest_edition(section: dict[str, Any]) -> dict[str, Any]:
    """Return a `dialect` section whose records read by today's rules: nothing is imported yet that could change."""
    return {"type": section["type"], "edition": NEWEST_EDITION} | section


def event_name_of(path: str) -> str:
    """Return a name for the events of a file that does not name them: the file's own, without dates and suffixes."""
    stem = path.rsplit("/", 1)[-1].split(".")[0]
    words = [word for word in re.split(r"[^A-Za-z]+", stem) if len(word) > 1]
    return "_".join(words).lower() or "event"
