"""What `history_facts` finds in the staged events of all days at once.

Belongs here: the questions that no single day can answer, and the files of the answers. Does not belong here: what the
mapping makes of them (`mapping.history`), or Dagster.

DuckDB reads the staged Parquet files, in bounded memory: what does not fit is spilled to a working folder.

Layout below the import's folder:

    history_facts/days/<day>.parquet   per event the mapping asks about: whether it is the first, the gap before it
    history_facts/persons.parquet      per person: events, anonymous ids, first and last event
    history_facts/links.parquet        per pair of anonymous and user id: when first seen, whether PostHog refuses it

A person is the user, else the first user the anonymous id was seen with on any day, else the anonymous id.
"""

from __future__ import annotations

import re
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from posthog_assets.core.errors import ImportFileError, MissingUpstream
from posthog_assets.core.posthog_rules import ILLEGAL_IDS
from posthog_assets.core.schemas import DAY_FACTS, HISTORY_KEY, LINKS, PERSONS
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.storage.layout import day_facts_path, events_path, links_path, persons_path, staged_path
from posthog_assets.storage.leases import Holding
from posthog_assets.storage.parquet import ParquetSink, digest_of
from posthog_assets.storage.scratch import scratch_folder
from posthog_assets.storage.store import Store

_DAY: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.parquet")

#: DuckDB's memory; beside it the process needs about 200 MB.
MEMORY: Final = "1GB"

#: Persons and devices that are listed at most.
_LISTED: Final = 20

#: A person of more anonymous ids than this is listed: PostHog moves the ids of a merged person one by one.
_MANY_IDS: Final = 100

_ROWS: Final = 20_000


@dataclass
class HistoryReport:
    """What was found in how many days; `changed_days` are those whose events would come out otherwise now."""

    days: int = 0
    events: int = 0
    persons: int = 0
    links: int = 0
    #: Links PostHog will not make, because the anonymous id belongs to an identified person by then.
    refused_merges: int = 0
    #: Anonymous ids seen with several users.
    shared_devices: int = 0
    #: The largest persons, those of most ids, and the devices of most users.
    largest_persons: list[dict[str, Any]] = field(default_factory=list)
    persons_with_many_ids: list[dict[str, Any]] = field(default_factory=list)
    most_shared_devices: list[dict[str, Any]] = field(default_factory=list)
    changed_days: list[str] = field(default_factory=list)
    seconds: float = 0.0
    spilled_bytes: int = 0


def find_history_facts(
    imp: Import, progress: Callable[[str], None] = lambda step: None, *, memory: str = MEMORY, threads: int = 2
) -> HistoryReport:
    """Read the staged events of all days and replace the facts; *progress* is called with what is done next.

    Raises:
        MissingUpstream: no day is staged.
        ImportFileError: DuckDB is not installed.
        PartitionLost: another run may be looking by now; nothing more is written.
    """
    began, report = time.monotonic(), HistoryReport()
    store = imp.store
    days = [found[1] for name in store.names("staged_events") if (found := _DAY.fullmatch(name))]
    if not days:
        raise MissingUpstream(f"{imp.name}/staged_events has no day yet: materialize staged_events first")
    report.days = len(days)
    with store.lock("history_facts", "all") as holding, scratch_folder() as folder:
        with _database(store, days, Path(folder), memory, threads) as database:
            progress("who was seen under which ids")
            _find_links(database)
            _write_links(store, holding, database, report)
            progress("what each person did")
            _write_persons(store, holding, database, report)
            progress("which event of a person comes first")
            _write_days(imp, holding, database, days, report, progress)
            report.spilled_bytes = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    report.seconds = time.monotonic() - began
    return report


@contextmanager
def _database(store: Store, days: Sequence[str], folder: Path, memory: str, threads: int) -> Iterator[Any]:
    """Open a database on disk with the view `staged`: one row per readable event, instants in µs."""
    try:
        import duckdb
    except ImportError as error:
        raise ImportFileError("history_facts needs DuckDB: install posthog_assets[history]") from error
    database = duckdb.connect(
        str(folder / "facts.duckdb"),
        config={
            "memory_limit": memory, "threads": threads, "temp_directory": str(folder / "spill"),
            "preserve_insertion_order": False,
        },
    )  # fmt: skip
    try:
        if store.is_local:
            paths = [str(store.local_path(staged_path(day))) for day in days]
        else:
            database.register_filesystem(store.root.fs)
            paths = [str(store.path(staged_path(day))) for day in days]
        listed = ", ".join(_text(path) for path in paths)
        # Blank ids are none, as in the mapping.
        database.execute(f"""
            CREATE VIEW staged AS
            SELECT regexp_extract(filename, '([^/]+)[.]parquet$', 1) AS day, source_id, kind, event,
                nullif(trim(user_id), '') AS user_id, nullif(trim(anonymous_id), '') AS anonymous_id,
                epoch_us("timestamp") AS moment
            FROM read_parquet([{listed}], filename = true) WHERE reject_reason IS NULL
        """)
        yield database
    finally:
        database.close()


def _find_links(database: Any) -> None:
    """Make `links`, one row per pair of ids that PostHog would merge, and `owners`, each device's first user."""
    illegal = ", ".join(_text(name) for name in sorted(ILLEGAL_IDS))
    database.execute(f"""
        CREATE TABLE links AS
        SELECT anonymous_id, user_id, min(moment) AS moment FROM staged
        WHERE anonymous_id IS NOT NULL AND user_id IS NOT NULL AND anonymous_id <> user_id
            AND lower(anonymous_id) NOT IN ({illegal}) AND lower(user_id) NOT IN ({illegal})
        GROUP BY 1, 2
    """)
    database.execute("""
        CREATE TABLE owners AS
        SELECT anonymous_id, min(user_id) AS owner FROM links
        JOIN (SELECT anonymous_id, min(moment) AS moment FROM links GROUP BY 1) USING (anonymous_id, moment) GROUP BY 1
    """)
    database.execute("""
        CREATE VIEW acts AS
        SELECT day, source_id, event, moment,
            coalesce(CASE WHEN kind = 'anonymous' THEN NULL ELSE user_id END, owner, anonymous_id) AS person
        FROM staged LEFT JOIN owners USING (anonymous_id) WHERE kind IN ('event', 'anonymous')
    """)


def _write_links(store: Store, holding: Holding, database: Any, report: HistoryReport) -> None:
    """Write the links in the order of time, and count those that PostHog will refuse.

    PostHog merges the person of the anonymous id into that of the user id, unless the former is identified already.
    """
    database.execute("""
        CREATE TABLE codes AS
        SELECT id, row_number() OVER (ORDER BY id) - 1 AS code
        FROM (SELECT anonymous_id AS id FROM links UNION SELECT user_id FROM links)
    """)
    (ids,) = database.execute("SELECT count(*) FROM codes").fetchone()
    persons = _Persons(ids)
    rows = database.execute("""
        SELECT links.anonymous_id, links.user_id, links.moment, a.code, u.code FROM links
        JOIN codes AS a ON a.id = links.anonymous_id JOIN codes AS u ON u.id = links.user_id
        ORDER BY links.moment, links.anonymous_id, links.user_id
    """)
    with store.atomic_write(links_path()) as path, ParquetSink(path, LINKS) as sink:
        while some := rows.fetchmany(_ROWS):
            refused = [not persons.merge(anonymous, user) for *_, anonymous, user in some]
            report.links += len(some)
            report.refused_merges += sum(refused)
            sink.write(_batch(LINKS, [*list(zip(*some, strict=True))[:3], refused]))
        holding.check()
    shared = "FROM links GROUP BY 1 HAVING count(*) > 1"
    (report.shared_devices,) = database.execute(f"SELECT count(*) FROM (SELECT anonymous_id {shared})").fetchone()
    report.most_shared_devices = _records(
        database, f"SELECT anonymous_id, count(*) AS users {shared} ORDER BY 2 DESC, 1 LIMIT {_LISTED}"
    )


class _Persons:
    """Which ids are one person's by now: nine bytes an id."""

    def __init__(self, ids: int) -> None:
        self._parents = array("q", range(ids))
        self._identified = bytearray(ids)

    def _of(self, code: int) -> int:
        parents = self._parents
        while parents[code] != code:
            parents[code] = parents[parents[code]]
            code = parents[code]
        return code

    def merge(self, anonymous: int, user: int) -> bool:
        """Merge as PostHog does; returns False where it refuses to."""
        merged, kept = self._of(anonymous), self._of(user)
        allowed = merged == kept or not self._identified[merged]
        if allowed:
            self._parents[merged] = kept
        self._identified[self._of(user)] = 1
        return allowed


def _write_persons(store: Store, holding: Holding, database: Any, report: HistoryReport) -> None:
    database.execute("""
        CREATE TABLE persons AS
        SELECT person, count(*) AS events, min(moment) AS first, max(moment) AS last FROM acts GROUP BY 1
    """)
    rows = database.execute("""
        SELECT person, events, coalesce(ids, 0) AS ids, first, last FROM persons
        LEFT JOIN (SELECT owner AS person, count(*) AS ids FROM owners GROUP BY 1) USING (person) ORDER BY person
    """)
    with store.atomic_write(persons_path()) as path, ParquetSink(path, PERSONS) as sink:
        while some := rows.fetchmany(_ROWS):
            report.persons += len(some)
            report.events += sum(row[1] for row in some)
            sink.write(_batch(PERSONS, list(zip(*some, strict=True))))
        holding.check()
    report.largest_persons = _records(
        database, f"SELECT person, events FROM persons ORDER BY events DESC, person LIMIT {_LISTED}"
    )
    report.persons_with_many_ids = _records(
        database,
        f"SELECT owner AS person, count(*) AS ids FROM owners GROUP BY 1 HAVING count(*) > {_MANY_IDS} "
        f"ORDER BY 2 DESC, 1 LIMIT {_LISTED}",
    )


def _write_days(
    imp: Import, holding: Holding, database: Any, days: Sequence[str], report: HistoryReport,
    progress: Callable[[str], None],
) -> None:  # fmt: skip
    """Write the facts that the mapping asks for, a file a day, and find the days whose events were made of others."""
    first_time = [*dict.fromkeys((*imp.mapping.first_time, *imp.mapping.first_events))]
    gaps = imp.mapping.since_previous
    asked = ", ".join(_text(name) for name in dict.fromkeys((*first_time, *gaps)))
    if asked:
        database.execute(f"CREATE TABLE facts AS {_facts(first_time, gaps, asked)}")
    progress("the facts of each day")
    store = imp.store
    for day in days:
        with store.atomic_write(day_facts_path(day)) as path, ParquetSink(path, DAY_FACTS) as sink:
            if asked:
                rows = database.execute(
                    "SELECT event, source_id, is_first, gap FROM facts WHERE day = ? ORDER BY event, source_id, moment",
                    [day],
                )
                while some := rows.fetchmany(_ROWS):
                    sink.write(_batch(DAY_FACTS, list(zip(*some, strict=True))))
            holding.check()
        if _is_made_of_others(store, day, bool(asked)):
            report.changed_days.append(day)


def _facts(first_time: Sequence[str], gaps: Sequence[str], asked: str) -> str:
    """Return the query of the facts: one row per event that is asked about."""
    firsts = ", ".join(_text(name) for name in first_time) or "NULL"
    wanted = ", ".join(_text(name) for name in gaps) or "NULL"
    # The gap is the time since any event of the person, so all events are looked at where one is wanted.
    source = "acts" if gaps else f"(SELECT * FROM acts WHERE event IN ({asked}))"
    return f"""
        SELECT day, event, source_id, moment,
            CASE WHEN event IN ({firsts}) THEN number = 1 END AS is_first,
            CASE WHEN event IN ({wanted}) THEN moment - before END AS gap
        FROM (
            SELECT *, row_number() OVER (PARTITION BY person, event ORDER BY moment, day, source_id) AS number,
                lag(moment) OVER (PARTITION BY person ORDER BY moment, day, source_id) AS before
            FROM {source}
        ) WHERE event IN ({asked})
    """


def facts_version(store: Store, day: str) -> str | None:
    """Return a text that changes with the facts of a day; None where there are none."""
    try:
        with store.open(day_facts_path(day)) as file:
            return digest_of(file)
    except FileNotFoundError:
        return None


def _is_made_of_others(store: Store, day: str, asked: bool) -> bool:
    """Whether the mapped events of a day were made of other facts than the present ones."""
    try:
        with store.open(events_path(day)) as file:
            noted = (pq.read_schema(file).metadata or {}).get(HISTORY_KEY)
    except FileNotFoundError:
        return False
    return asked and (noted is None or noted.decode() != facts_version(store, day))


def _batch(schema: pa.Schema, columns: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array(values, pa.int64()).cast(field.type) if pa.types.is_timestamp(field.type) else
            pa.array(values, field.type)
            for values, field in zip(columns, schema, strict=True)
        ],
        schema=schema,
    )  # fmt: skip


def _records(database: Any, query: str) -> list[dict[str, Any]]:
    rows = database.execute(query)
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
