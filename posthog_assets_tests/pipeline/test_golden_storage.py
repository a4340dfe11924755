"""Days that release 0.1 imported need nothing from a later release.

`../shared/data/release-0.1-storage.tar.gz` is what that release left of four imports of one day: import files, raw
export, ledger, and every event as PostHog got it. Here today's code stages, maps and delivers the same raw exports.

Where a release changes on purpose what is sent for some record, each such event is named in `CHANGED`, by its uuid and
with the properties it has now. Nothing else may differ, and an event may never change its key (uuid, name, distinct_id,
day): PostHog would keep both versions for ever.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import pytest
import yaml

from posthog_assets.destination.report import DeliveryReport
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage.store import Store
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.records.shop import invoke, package_of

ARCHIVE: Final = "release-0.1-storage.tar.gz"
#: The archive is evidence: one that is made again, by a later release, would prove nothing.
SHA256: Final = "158c9051aec15ec1b6f8f508549352ccf25e4dc051045f593972735241025e4e"

DAY: Final = date(2024, 3, 1)

#: Of each import: the version of its mapping, its events, and its rejected records.
IMPORTS: Final = {
    "columns": ("c68fef0c", 1507, 0),
    "mixpanel": ("b202cc94", 2485, 0),
    "amplitude": ("4a5b434c", 2458, 0),
    "segment": ("2316a9e2", 368, 62),
}

#: The versions of the same mappings today. They are not those of release 0.1, because records read otherwise: `changes`
#: shows which events that concerns. They go up with `RULES`, and by nothing else: a new setting must not change them.
VERSIONS: Final = {"columns": "fd57fcca", "mixpanel": "be9c1fc9", "amplitude": "44280e55", "segment": "496132d2"}

#: What belongs to an event in a request's body.
KEYS: Final = ("uuid", "event", "distinct_id", "timestamp", "properties", "options")

#: Events that are sent again on purpose: uuid -> the properties that differ from those of release 0.1, as they are now.
#: Whole numbers above 2^53 are text now, since PostHog's pipeline would round them.
CHANGED: Final[dict[str, dict[str, Any]]] = {
    "bfa4d1e4-1420-5173-a701-13ebcd7265e1": {"odd": "12345678901234567890"},
    "c928f152-76f3-5f2f-95a8-f3f792ca0314": {"odd": "9007199254740993"},
    "371b5227-92f8-59ec-b0c4-5d25894da697": {"odd": "12345678901234567890"},
    "edc65d21-78fd-5bea-881f-6e80e791d053": {"odd": "9007199254740993"},
    "8e389fb9-14bd-10d1-8df0-684307060157": {"odd": "12345678901234567890"},
    "fffd1316-15e4-1a7b-90ca-417b09914e0e": {"odd": "9007199254740993"},
}


@dataclass(frozen=True)
class Imported:
    """A day that release 0.1 imported, staged, mapped and delivered again by this one."""

    imp: Import
    #: What release 0.1 sent, and which records it rejected (part, line); both in the order of its files.
    was_sent: dict[str, dict[str, Any]]
    was_rejected: list[tuple[str, int]]
    report: DeliveryReport
    #: What this release sent.
    sent: list[dict[str, Any]]

    @property
    def changed(self) -> set[str]:
        """The uuids of the events that this release sends again on purpose."""
        return CHANGED.keys() & self.was_sent.keys()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked archive; its storage is there twice, since days are imported again into one of them."""
    archive = Path(__file__).resolve().parents[3] / "shared" / "data" / ARCHIVE
    if not archive.exists():
        pytest.skip(f"needs ../shared/data/{ARCHIVE}, which is not here")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    shutil.copytree(folder / "storage", folder / "untouched")
    return folder


@pytest.fixture(scope="module", params=IMPORTS)
def imported(release: Path, request: pytest.FixtureRequest) -> Iterator[Imported]:
    """Stage, map and deliver a day again beside the ledger that release 0.1 left."""
    name = request.param
    with CaptureServer() as server:
        imp = Import.read(attributes_of(release, name, server.url))
        was_rejected = rejected(imp)
        stage_day(imp, DAY)
        transform_day(imp, DAY)
        report = deliver_day(imp, DAY)
        yield Imported(imp, sent_by_release(release)[name], was_rejected, report, server.stored)


def attributes_of(release: Path, name: str, host: str) -> dict[str, Any]:
    """Return the import file of release 0.1, with folders and PostHog of this test."""
    attributes: dict[str, Any] = json.loads((release / "imports.json").read_text())[name]
    attributes["storage"] = str(release / "storage")
    attributes["source"]["path"] = str(release / attributes["source"]["path"])
    attributes["destination"]["host"] = host
    return attributes


def sent_by_release(release: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each import's events by uuid."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with gzip.open(release / "sent.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            found.setdefault(event["properties"]["$import_job_id"], {})[event["uuid"]] = event
    return found


def rejected(imp: Import) -> list[tuple[str, int]]:
    table = pq.read_table(imp.store.path(f"imported_batches/{DAY}/rejected.parquet").path)
    return list(zip(table["raw_part"].to_pylist(), table["raw_line"].to_pylist(), strict=True))


def exactly(event: dict[str, Any]) -> str:
    """Return an event as text, in which 1, 1.0 and true differ, as do 0.0 and -0.0."""
    return json.dumps({key: event[key] for key in KEYS}, sort_keys=True)


def test_nothing_is_sent_owed_moved_or_orphaned(imported: Imported) -> None:
    _, events, _ = IMPORTS[imported.imp.name]
    changed = len(imported.changed)
    report = imported.report
    assert {event["uuid"] for event in imported.sent} == imported.changed
    assert (report.sent, report.changed, report.owed, report.moved, report.orphaned) == (changed, changed, 0, 0, 0)
    assert (report.events, report.already_acknowledged, report.dropped) == (events, events - changed, 0)


def test_no_other_record_is_rejected(imported: Imported) -> None:
    _, _, count = IMPORTS[imported.imp.name]
    assert len(imported.was_rejected) == count
    assert rejected(imported.imp) == imported.was_rejected


def test_the_version_of_the_mapping_tells_that_records_read_otherwise_now(imported: Imported) -> None:
    version, _, _ = IMPORTS[imported.imp.name]
    assert imported.imp.mapping_version == VERSIONS[imported.imp.name] != version
    ledger = pq.read_table(imported.imp.store.path(f"imported_batches/{DAY}/ledger.parquet").path)
    newer = {VERSIONS[imported.imp.name]} if imported.changed else set()
    assert set(ledger["mapping"].to_pylist()) == {version} | newer


def test_a_first_import_sends_the_events_that_release_0_1_sent(imported: Imported, tmp_path: Path) -> None:
    name = imported.imp.name
    store = Store(str(tmp_path), name)
    for folder in ("raw_export", "staged_events", "posthog_events"):
        shutil.copytree(imported.imp.store.path(folder).path, tmp_path / name / folder)
    with CaptureServer() as server:
        destination = imported.imp.destination.model_copy(update={"host": server.url})
        deliver_day(imported.imp.model_copy(update={"destination": destination}).stored_in(store), DAY)
    assert len(server.stored) == len(imported.was_sent)
    sent = {event["uuid"]: exactly(event) for event in server.stored}
    assert sent == {uuid: exactly(as_it_is_now(event)) for uuid, event in imported.was_sent.items()}
    assert all(request.body["historical_migration"] is True for request in server.requests if request.uuids)


def as_it_is_now(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event of release 0.1 as it is sent for the first time today: what is new, and who made it."""
    made_by = {"$import_mapping": VERSIONS[event["properties"]["$import_job_id"]]}
    return event | {"properties": event["properties"] | made_by | CHANGED.get(event["uuid"], {})}


@pytest.mark.parametrize("name", IMPORTS)
def test_changes_says_the_same_before_anything_is_sent(name: str, release: Path, project: Path) -> None:
    """From the import file of release 0.1, as a user has it, and the storage as that release left it."""
    attributes = attributes_of(release, name, "http://127.0.0.1:9")
    attributes["storage"] = str(project / "storage")
    for folder in ("raw_export", "imported_batches"):
        shutil.copytree(release / "untouched" / name / folder, project / "storage" / name / folder)
    defs = project / package_of(project) / "defs" / name
    defs.mkdir()
    content = {"type": "posthog_assets.HistoricalImport", "attributes": attributes}
    (defs / "defs.yaml").write_text(yaml.safe_dump(content))

    result = invoke(project, "changes", name, "--every", "--json")

    version, events, _ = IMPORTS[name]
    changed = len(CHANGED.keys() & sent_by_release(release)[name].keys())
    assert json.loads(result.output) == {
        "day": "2024-03-01",
        "versions": [version],
        "unchanged": events - changed,
        "in_place": changed,
        "duplicated": 0,
        "examples": [],
        "new": 0,
        "gone": 0,
        "failure": None,
    }
    assert result.exit_code == 0
