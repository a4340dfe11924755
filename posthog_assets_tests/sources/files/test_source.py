"""Files, one or more a day."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError
from upath import UPath

from posthog_assets.core.errors import BrokenPart, ImportFileError, NoExport
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.sources import Files, RawExport, Source, load_source
from posthog_assets.storage.store import Store
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply, Script
from posthog_assets_tests.fakes.killed import kill_during
from posthog_assets_tests.sources.files.exporting import DAY, export, files, write


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), "wikipedia")


def test_each_file_of_the_day_is_a_part_byte_for_byte(tmp_path: Path, store: Store) -> None:
    content = gzip.compress(b'{"n":1}\n{"n":2}\n')
    write(tmp_path / "in/2015-09-12/b.jsonl.gz", content)
    write(tmp_path / "in/2015-09-12/deep/a.csv", b"n\n3\n")
    write(tmp_path / "in/2015-09-12/_SUCCESS", b"")
    write(tmp_path / "in/2015-09-13/c.jsonl.gz", content)
    raw = export(files(path=f"{tmp_path}/in/{{day:%Y-%m-%d}}/**"), store)
    assert [(part.name[:2], part.name[10:], part.records) for part in raw.parts()] == [
        ("b-", ".jsonl.gz", 2), ("a-", ".csv", 1),
    ]  # fmt: skip
    with raw.open(raw.parts()[0]) as file:
        assert file.read() == content
    assert raw.parts()[0].origin == f"file://{tmp_path}/in/2015-09-12/b.jsonl.gz"


def test_the_day_may_stand_in_the_path_in_any_form_and_more_than_once(tmp_path: Path) -> None:
    source = files(path="x/{day:%Y/%m}/{day:%d}/e_{day}.jsonl")
    assert source.url(DAY) == "x/2015/09/12/e_2015-09-12.jsonl"


def test_a_relative_path_starts_at_the_current_folder(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "2015-09-12.jsonl", b'{"n":1}\n')
    monkeypatch.chdir(tmp_path)
    assert [part.records for part in export(files(path="{day}.jsonl"), store).parts()] == [1]


def test_exporting_again_leaves_the_manifest_as_it_is_byte_for_byte(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "2015-09-12.jsonl", b'{"n":1}\n')
    source = files(path=f"{tmp_path}/{{day}}.jsonl")
    export(source, store)
    before = store.read_bytes("raw_export/2015-09-12/manifest.json")
    export(source, store)
    assert store.read_bytes("raw_export/2015-09-12/manifest.json") == before


def test_a_changed_file_is_fetched_again_and_the_others_are_not(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "in/2015-09-12/a.jsonl", b'{"n":1}\n')
    write(tmp_path / "in/2015-09-12/b.jsonl", b'{"n":2}\n')
    source = files(path=f"{tmp_path}/in/{{day}}/*.jsonl")
    before = export(source, store).parts()
    first = source.fingerprint(DAY)
    write(tmp_path / "in/2015-09-12/b.jsonl", b'{"n":2}\n{"n":3}\n')
    write(tmp_path / "in/2015-09-12/0.jsonl", b'{"n":4}\n')
    assert source.fingerprint(DAY) != first
    kept = store.path(f"raw_export/2015-09-12/{before[0].name}")
    inode = Path(kept.path).stat().st_ino
    after = export(source, store).parts()
    assert [part.records for part in after] == [1, 1, 2]
    assert after[1] == before[0]
    assert Path(kept.path).stat().st_ino == inode
    (tmp_path / "in/2015-09-12/a.jsonl").unlink()
    assert [part.records for part in export(source, store).parts()] == [1, 2]
    assert len(store.names("raw_export/2015-09-12")) == 3


def test_a_part_that_was_damaged_is_repaired_by_exporting_again(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "2015-09-12.jsonl", b'{"n":1}\n')
    source = files(path=f"{tmp_path}/{{day}}.jsonl")
    part = export(source, store).parts()[0]
    store.delete(f"raw_export/2015-09-12/{part.name}")
    raw = export(source, store)
    with raw.verified(part) as file:
        assert file.read() == b'{"n":1}\n'


def test_files_of_the_same_name_in_different_folders_stay_apart(tmp_path: Path, store: Store) -> None:
    for folder in ("a", "b"):
        write(tmp_path / f"in/{folder}/2015-09-12/part 0.jsonl", b'{"n":1}\n')
    names = [part.name for part in export(files(path=f"{tmp_path}/in/*/{{day}}/*.jsonl"), store).parts()]
    assert len(set(names)) == 2
    assert {name[:7] for name in names} == {"part_0-"}


def test_a_day_without_a_file_names_the_pattern_and_the_nearest_files(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "2015-09-10.jsonl", b'{"n":1}\n')
    write(tmp_path / "2015-09-14.jsonl", b'{"n":1}\n')
    source = files(path=f"{tmp_path}/{{day}}.jsonl")
    assert source.fingerprint(DAY) is None
    with pytest.raises(NoExport) as caught:
        export(source, store)
    assert str(caught.value) == (
        f"there is no file at {tmp_path}/2015-09-12.jsonl (nearest: {tmp_path}/2015-09-10.jsonl, "
        f"{tmp_path}/2015-09-14.jsonl); export 2015-09-12 there, correct source.path, or set source.missing: empty if "
        "a day without a file is a day without events"
    )


def test_a_day_without_a_file_may_be_an_empty_day(tmp_path: Path, store: Store) -> None:
    assert export(files(path=f"{tmp_path}/{{day}}.jsonl", missing="empty"), store).parts() == ()


def test_a_broken_file_is_named_and_nothing_of_it_is_kept(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "2015-09-12.jsonl.gz", gzip.compress(b'{"n":1}\n' * 1000)[:-9])
    with pytest.raises(BrokenPart, match=f"file://{tmp_path}/2015-09-12.jsonl.gz cannot be read"):
        export(files(path=f"{tmp_path}/{{day}}.jsonl.gz"), store)


def test_passwords_are_secrets_and_stay_out_of_messages(store: Store) -> None:
    source = files(
        path="nowhere://me:hunter2@host/{day}.jsonl",
        storage_options={"client_kwargs": {"aws_secret_access_key": "s3cret"}, "anon": False},
    )
    assert source.secrets() == ("s3cret", "hunter2")
    assert "s3cret" not in repr(source)
    with pytest.raises(ImportFileError) as caught:
        export(source, store)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"path": "a/*.jsonl"}, r"either path holds \{day\} .*, or day_column names the column"),
        ({"path": "a/{day}.jsonl", "day_column": "t"}, r"either path holds \{day\}"),
        ({"path": "a/{day:yyyy}.jsonl"}, r"\{day:yyyy\} must hold a date pattern such as \{day:%Y-%m-%d\}"),
        ({"path": "a/{date:%Y}/{day}.jsonl"}, r"\{date:%Y\} is unknown; the only placeholder is \{day\}"),
        ({"path": "a/{day}.jsonl", "format": "xml"}, "'jsonl', 'json', 'csv', 'parquet' or 'avro'"),
        ({"path": "a/{day}.csv", "csv": {"encoding": "utf-99"}}, "encoding 'utf-99' is unknown"),
        ({"path": "a/{day}.csv", "csv": {"columns": "matomo"}}, "should be 'snowplow'"),
        ({"path": "a/{day}.csv", "csv": {"columns": ["a", "b", "a"]}}, "'a' names two columns"),
        ({"path": "a/{day}.csv", "csv": {"columns": ["a", ""]}}, "every column needs a name"),
        ({"path": "a/{day}.csv", "csv": {"columns": []}}, "every column needs a name"),
        ({"path": "a.csv", "day_column": "t", "day_timezone": "Mars"}, "'Mars' is no time zone"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        files(**settings)


def test_columns_are_pinned_with_the_part_and_change_what_a_day_is_made_of(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "2015-09-12.txt", b'1\t"a"\n2\tb\n')
    settings: dict[str, Any] = {"path": f"{tmp_path}/{{day}}.txt"}
    csv = {"delimiter": "\t", "quote": "", "columns": ["n", "text"]}
    source = files(**settings, csv=csv)
    (part,) = export(source, store).parts()
    assert (part.records, part.framing.columns, part.framing.quote) == (2, ("n", "text"), "")
    # Read back from the manifest it is the same, and nothing is fetched again.
    assert RawExport(store, DAY).is_complete(source.fingerprint(DAY) or "")
    renamed = files(**settings, csv=csv | {"columns": ["n", "note"]})
    assert renamed.fingerprint(DAY) != source.fingerprint(DAY)
    assert [part.framing.columns for part in export(renamed, store).parts()] == [("n", "note")]


class Half(Source):
    """A source that lacks its methods."""


def test_sources_are_found_by_type_and_anybodys_own_by_dotted_path() -> None:
    assert load_source({"type": "files", "path": "a/{day}.jsonl"}) == files(path="a/{day}.jsonl")
    with pytest.raises(ValueError, match="type 'ftp' is unknown; allowed: files, .*or my_package.MyClass"):
        load_source({"type": "ftp"})
    with pytest.raises(ValueError, match="type 'nowhere.Source' cannot be imported"):
        load_source({"type": "nowhere.Source"})
    with pytest.raises(ValueError, match=r"is not a whole source: .*export"):
        load_source({"type": f"{__name__}.Half"})


def test_records_that_hold_a_list_unfold_and_are_counted_as_they_are_read(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "2015-09-12.json", b'[{"v":1,"actions":[{"n":1},{"n":2}]},{"v":2,"actions":[{"n":3}]}]')
    source = files(path=f"{tmp_path}/{{day}}.json", unfold="actions")
    (part,) = export(source, store).parts()
    assert (part.records, part.framing.unfold) == (3, "actions")


def test_unfolding_works_on_files_that_hold_all_days(tmp_path: Path, store: Store) -> None:
    lines = [b'{"day":"2015-09-12","actions":[{"n":1},{"n":2}]}', b'{"day":"2015-09-13","actions":[{"n":3}]}']
    write(tmp_path / "all.jsonl", b"\n".join(lines))
    source = files(path=f"{tmp_path}/all.jsonl", day_column="day", unfold="actions")
    assert [part.records for part in export(source, store).parts()] == [2]
    assert [part.records for part in export(source, store, date(2015, 9, 13)).parts()] == [1]


def test_a_file_that_is_to_be_read_in_another_way_is_pinned_again(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "2015-09-12.csv", b"a;b\n1;2\n")
    write(tmp_path / "2015-09-12.json", b'[{"actions":[1,2]}]')
    path = f"{tmp_path}/{{day}}.*"
    before = export(files(path=path), store).parts()
    after = export(files(path=path, csv={"delimiter": ";"}, unfold="actions"), store).parts()
    assert [(part.framing.delimiter, part.records) for part in before] == [(",", 1), (",", 1)]
    assert [(part.framing.delimiter, part.records) for part in after] == [(";", 1), (";", 2)]


PATTERNS = [
    "{day}.jsonl", "{day:%Y/%m}/{day}-*.jsonl", "{day:%Y/%m/%d}/*", "**/{day}/*.jsonl", "*{day:%Y%m%d}*.jsonl",
    "{day:%-d}.jsonl", "{day:%Y}/all-{day:%j}.jsonl.gz", "{day:%d}/?-{day:%B}.jsonl",
]  # fmt: skip
THIRTY = [date(2024, 1, 20) + timedelta(days=n) for n in range(30)]


@pytest.mark.parametrize("store", ["", "memory:/"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_listing_sees_of_each_day_what_a_look_at_the_day_sees(pattern: str, store: str, tmp_path: Path) -> None:
    root = f"{store}{tmp_path}"
    source = Files(path=f"{root}/{pattern}")
    for day in THIRTY[::2]:
        name = source.url(day).replace("**", "deep/er").replace("*", "x").replace("?", "q")
        file = UPath(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{day}\n")
    for litter in ("_SUCCESS", ".hidden", "2024-01-21", "20240121_20240122"):
        UPath(f"{root}/{litter}").write_text("x")
    seen = {sighting.day: sighting.fingerprint for sighting in source.fingerprints(THIRTY)}
    assert list(seen) == THIRTY
    assert seen == {day: source.fingerprint(day) for day in THIRTY}
    assert len([1 for fingerprint in seen.values() if fingerprint]) >= 15


def test_a_listing_says_when_a_day_last_changed(tmp_path: Path) -> None:
    for name, moment in (("a", 1_700_000_000), ("b", 1_700_000_060)):
        (tmp_path / f"2024-01-20-{name}.jsonl").touch()
        os.utime(tmp_path / f"2024-01-20-{name}.jsonl", (moment, moment))
    (sighting,) = Files(path=f"{tmp_path}/{{day}}-*.jsonl").fingerprints([THIRTY[0]])
    assert sighting.changed_at == datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)


def test_files_of_all_days_change_for_all_days_at_once(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("at,id\n2024-01-20,1\n")
    source = Files(path=f"{tmp_path}/all.csv", day_column="at")
    before = {sighting.fingerprint for sighting in source.fingerprints(THIRTY)}
    (tmp_path / "all.csv").write_text("at,id\n2024-01-20,1\n2024-01-21,2\n")
    after = {sighting.fingerprint for sighting in source.fingerprints(THIRTY)}
    assert (len(before), len(after), before == after) == (1, 1, False)


def test_a_day_of_another_zone_is_available_when_it_has_ended_there(tmp_path: Path) -> None:
    source = Files(path=f"{tmp_path}/all.csv", day_column="at", day_timezone="America/Los_Angeles")
    assert source.available_at(date(2024, 1, 20)) == datetime(2024, 1, 21, 8, tzinfo=UTC)
    assert Files(path="{day}.csv").available_at(date(2024, 1, 20)) == datetime(2024, 1, 21, tzinfo=UTC)
    later = source.model_copy(update={"available_after_hours": 1.5})
    assert later.available_at(date(2024, 1, 20)) == datetime(2024, 1, 21, 9, 30, tzinfo=UTC)


class Folder(ExportServer):
    """A web server with four files of a day, each of ten records, and a page that lists them."""

    names = tuple(f"2015-09-12-{number}.jsonl" for number in range(4))

    def reply(self, asked: Asked) -> Reply:
        name = asked.path.rsplit("/", 1)[-1]
        if not name:
            return Reply(body="".join(f'<a href="/exports/{name}">{name}</a>' for name in self.names).encode())
        if name not in self.names:
            return Reply(404)
        body = b"".join(line(10 * self.names.index(name) + number) for number in range(10))
        return Reply(206 if "Range" in asked.headers else 200, body, {"Accept-Ranges": "bytes"})

    @property
    def fetched(self) -> list[int]:
        """The numbers of the files whose content was asked for."""
        names = [asked.path.rsplit("/", 1)[-1] for asked in self.requests if asked.method == "GET"]
        return [self.names.index(name) for name in names if name]


def line(number: int) -> bytes:
    record = {"id": number, "user": f"user-{number}", "at": "2015-09-12T10:00:00Z", "what": "visit"}
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def importing(folder: str, url: str, capture: str = "http://127.0.0.1:9") -> Import:
    return small_import(
        Path(folder),
        start_date="2015-09-12",
        source={"type": "files", "path": f"{url}/exports/{{day}}-*.jsonl"},
        destination={"host": capture, "project_api_key": "phc_any"},
    )


def export_and_wait(folder: str, url: str) -> None:
    export_day(importing(folder, url), DAY)


@pytest.mark.end_to_end
def test_a_process_that_is_killed_between_files_leaves_a_day_that_can_be_finished(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http:// with aiohttp, which is not installed")
    hang: Script = lambda asked, reply: replace(reply, trickle=0.2) if asked.path.endswith("-2.jsonl") else reply  # noqa: E731
    with Folder(hang) as web, CaptureServer() as posthog:
        kill_during(export_and_wait, str(tmp_path), web.url, when=lambda: 2 in web.fetched)
        assert web.fetched == [0, 1, 2]
        web.script = lambda asked, reply: reply
        imp = importing(str(tmp_path), web.url, posthog.url)
        manifest = export_day(imp, DAY)
        assert web.fetched == [0, 1, 2, 2, 3]
        assert [part.records for part in manifest.parts] == [10] * 4
        stage_day(imp, DAY)
        transform_day(imp, DAY)
        deliver_day(imp, DAY)
    assert sorted(event["distinct_id"] for event in posthog.stored) == sorted(f"user-{n}" for n in range(40))


def test_the_last_day_that_has_a_file_is_known_from_one_listing(tmp_path: Path) -> None:
    for day in ("2024-03-01", "2024-03-05"):
        (tmp_path / f"{day}.jsonl").write_text("{}")
    source = Files.model_validate({"path": str(tmp_path / "{day}.jsonl")})
    assert source.reach(date(2024, 3, 1), date(2024, 12, 31)) == date(2024, 3, 5)
    assert source.reach(date(2024, 6, 1), date(2024, 12, 31)) == date(2024, 5, 31)


def test_brackets_in_a_path_are_said_to_be_a_pattern(tmp_path: Path) -> None:
    raw = RawExport(Store(str(tmp_path / "data"), "imported"), date(2015, 9, 12))
    source = Files.model_validate({"path": f"{tmp_path}/[raw]/{{day}}.jsonl"})
    with pytest.raises(NoExport) as refused:
        source.export(date(2015, 9, 12), raw, date(2015, 9, 12))
    assert "; [raw] in it is a pattern, any one of its letters: as a name it is [[]raw]" in str(refused.value)
