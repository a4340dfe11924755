"""What is told from an export: whose records, which columns, which days."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posthog_assets.core.errors import BrokenPart, ImportFileError, NoExport
from posthog_assets.pipeline.sniffing.draft import Draft, sniff_files
from posthog_assets.pipeline.sniffing.evidence import Certainty
from posthog_assets.pipeline.sniffing.preview import preview_draft
from posthog_assets.pipeline.sniffing.yaml_text import draft_text
from posthog_assets.sources.files.source import Files
from posthog_assets_tests.records.exports import EXPORTS, lines, made

ROWS = [
    {"uid": f"u{n % 9}", "what": ("view", "buy")[n % 2], "when": f"2024-03-0{1 + n % 3}T10:00:{n % 60:02}Z", "n": n}
    for n in range(60)
]


@pytest.mark.parametrize("vendor", sorted(EXPORTS))
def test_each_vendors_files_are_known_as_theirs(vendor: str, tmp_path: Path) -> None:
    draft = sniff_files("shop", str(EXPORTS[vendor](tmp_path)))
    assert draft.attributes["dialect"]["type"] == vendor
    assert sum(draft.rejected.values()) == 0
    assert draft.attributes["start_date"] == "2024-03-01"
    samples = preview_draft(draft)
    assert len(samples) == 5
    assert all(sample.after for sample in samples)


@pytest.mark.parametrize("vendor", sorted(EXPORTS))
def test_the_path_of_a_draft_finds_the_files_that_were_looked_at(vendor: str, tmp_path: Path) -> None:
    where = EXPORTS[vendor](tmp_path)
    draft = sniff_files("shop", str(where))
    there = {str(where)} if where.is_file() else {str(path) for path in where.rglob("*") if path.is_file()}
    found = Files.model_validate(draft.attributes["source"]).find(date(2024, 3, 1))
    assert {file.path for file in found} == there


@pytest.mark.parametrize(
    ("vendor", "path"),
    [
        ("amplitude", "/123456_{day}_*.json.gz"),
        ("segment", "/segment-logs/abc/{day:%s000}/*.gz"),
        ("rudderstack", "/rudder-logs/src/{day:%m-%d-%Y}/*.json.gz"),
        ("ga4", "/events_{day:%Y%m%d}.json"),
        ("snowplow", "/run={day}-*/*"),
    ],
)
def test_the_day_in_a_vendors_paths_becomes_the_partitions(vendor: str, path: str, tmp_path: Path) -> None:
    draft = sniff_files("shop", str(EXPORTS[vendor](tmp_path)))
    assert draft.attributes["source"]["path"] == f"{tmp_path}{path}"


def test_matomos_visits_are_unfolded_into_their_actions(tmp_path: Path) -> None:
    draft = sniff_files("shop", str(EXPORTS["matomo"](tmp_path)))
    assert draft.attributes["source"]["unfold"] == "actionDetails"
    assert {sample.after["event"] for sample in preview_draft(draft) if sample.after} == {"$pageview", "item added"}


def test_edits_of_wikipedia_have_a_user_and_a_time_and_no_name(real_data: Callable[[str], Path]) -> None:
    draft = sniff_files("wikipedia", str(real_data("wikipedia-edits-2015-09-12.jsonl.gz")))
    assert draft.attributes["dialect"] == {
        "type": "columns",
        "edition": 2,
        "event": {"value": "wikipedia_edits"},
        "user_id": {"column": "user"},
        "timestamp": {"column": "time"},
    }
    assert (draft.attributes["start_date"], draft.attributes["end_date"]) == ("2015-09-12", "2015-09-12")
    assert [found.setting for found in draft.unsure] == ["dialect.event"]


def test_events_of_github_are_told_by_their_columns(real_data: Callable[[str], Path]) -> None:
    draft = sniff_files("github", str(real_data("github-events-2021-07-21.jsonl.gz")))
    assert draft.attributes["dialect"] == {
        "type": "columns",
        "edition": 2,
        "event": {"column": "type"},
        "user_id": {"column": "actor.id"},
        "timestamp": {"column": "created_at"},
        "source_id": {"column": "id"},
    }
    assert draft.unsure == []


def test_messages_of_the_segment_spec_are_rudderstacks(real_data: Callable[[str], Path]) -> None:
    draft = sniff_files("spec", str(real_data("segment-spec.jsonl")))
    assert draft.attributes["dialect"] == {"type": "rudderstack", "edition": 2}
    found = draft.finding("dialect.type")
    assert found is not None
    assert "segment would read them too" in found.evidence


def sniffed(tmp_path: Path, rows: list[Any], name: str = "events.jsonl") -> Draft:
    (tmp_path / name).write_bytes(lines(rows))
    return sniff_files("shop", str(tmp_path / name))


def test_one_file_for_all_days_is_split_by_its_time(tmp_path: Path) -> None:
    draft = sniffed(tmp_path, ROWS)
    assert draft.attributes["source"]["day_column"] == "when"
    assert (draft.attributes["start_date"], draft.attributes["end_date"]) == ("2024-03-01", "2024-03-03")
    assert draft.attributes["dialect"]["event"] == {"column": "what"}


def test_a_file_of_many_days_is_one_for_all_days_whatever_its_name_says(tmp_path: Path) -> None:
    draft = sniffed(tmp_path, made("columns", 60, days=40), "dump-2024-04-10.jsonl")
    assert draft.attributes["source"]["day_column"] == "time"
    assert draft.attributes["source"]["path"].endswith("/dump-2024-04-10.jsonl")
    assert (draft.attributes["start_date"], draft.attributes["end_date"]) == ("2024-03-01", "2024-04-09")


def test_times_without_a_zone_are_marked(tmp_path: Path) -> None:
    draft = sniffed(tmp_path, [row | {"when": str(row["when"])[:-1]} for row in ROWS])
    assert draft.attributes["dialect"]["timestamp"] == {"column": "when", "timezone": "UTC"}
    assert "dialect.timestamp.timezone" in [found.setting for found in draft.unsure]


def test_an_id_that_repeats_is_none_and_the_draft_says_so(tmp_path: Path) -> None:
    draft = sniffed(tmp_path, [row | {"id": n // 2} for n, row in enumerate(ROWS)])
    assert "source_id" not in draft.attributes["dialect"]
    found = draft.finding("dialect.source_id")
    assert found is not None
    assert "id repeats (30 of 60)" in found.evidence


def test_values_that_identify_people_are_not_in_the_evidence(tmp_path: Path) -> None:
    draft = sniffed(
        tmp_path, [{"email": f"p{n % 3}@mail.example", "event": "x", "time": 1709287200 + n} for n in range(9)]
    )
    assert draft.attributes["dialect"]["user_id"] == {"column": "email"}
    assert not any("mail.example" in found.evidence for found in draft.findings)


@pytest.mark.parametrize(
    ("text", "csv"),
    [
        ("time;user;event\n2024-03-01T10:00:00Z;ann;x\n2024-03-01T10:00:01Z;bob;y\n", {"delimiter": ";"}),
        ("time|user|event\n2024-03-01T10:00:00Z|ann|x\n", {"delimiter": "|"}),
        ("time,user,event\n2024-03-01T10:00:00Z,Jörg,x\n", {"encoding": "cp1252"}),
    ],
)
def test_the_options_of_csv_are_told_by_its_text(text: str, csv: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes(text.encode(csv.get("encoding", "utf-8")))
    draft = sniff_files("shop", str(tmp_path / "events.csv"))
    assert draft.attributes["source"]["csv"] == csv
    assert draft.attributes["dialect"]["user_id"] == {"column": "user"}


def test_csv_without_a_header_gets_names_that_are_marked(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("2024-03-01T10:00:00Z,7,x\n2024-03-01T10:00:01Z,8,y\n")
    with pytest.raises(ImportFileError, match="who did it .* among: column_1, column_2, column_3"):
        sniff_files("shop", str(tmp_path / "a.csv"))


def test_the_content_is_believed_and_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "export.txt").write_bytes(gzip.compress(lines(ROWS)))
    source = sniff_files("shop", str(tmp_path / "export.txt")).attributes["source"]
    assert (source["format"], source["compression"]) == ("jsonl", "gzip")


def test_parquet_with_instants_is_read_as_such(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([row | {"when": None} for row in ROWS])
    instants = pa.array([1709287200 + n for n in range(60)], pa.timestamp("s"))
    pq.write_table(table.set_column(table.schema.get_field_index("when"), "when", instants), tmp_path / "e.parquet")
    draft = sniff_files("shop", str(tmp_path / "e.parquet"))
    assert draft.attributes["dialect"]["timestamp"] == {"column": "when", "timezone": "UTC"}
    assert draft.attributes["start_date"] == "2024-03-01"


def test_what_lies_beside_an_export_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "2024-03-01.jsonl").write_bytes(lines(ROWS))
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / "manifest.json").write_text("{}")
    assert sniff_files("shop", str(tmp_path)).attributes["source"]["path"] == f"{tmp_path}/{{day}}.jsonl"


def test_gaps_between_the_days_of_files_are_counted(tmp_path: Path) -> None:
    for day in (1, 2, 9):
        (tmp_path / f"2024-03-0{day}.jsonl").write_bytes(lines(ROWS))
    draft = sniff_files("shop", str(tmp_path))
    found = draft.finding("source.path")
    assert found is not None
    assert found.evidence == "3 files of 3 days, 2024-03-01 to 2024-03-09; 6 days between have no file"


def test_a_path_with_nothing_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoExport, match=r"there is no file at .*/nothing\.jsonl"):
        sniff_files("shop", str(tmp_path / "nothing.jsonl"))


def test_records_without_a_user_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match=r"found no column that says who did it .* among: time, temperature"):
        sniffed(tmp_path, [{"time": "2024-03-01T10:00:00Z", "temperature": n} for n in range(9)])


def test_a_binary_file_is_refused_with_the_formats_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x00\x01\x02" * 100)
    with pytest.raises(ImportFileError, match="none of the formats that can be read"):
        sniff_files("shop", str(tmp_path / "a.bin"))


def test_a_large_file_is_sampled_at_its_beginning_middle_and_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with path.open("w") as file:
        for day in range(1, 29):
            row = json.dumps(ROWS[0] | {"when": f"2024-02-{day:02}T10:00:00Z", "filler": "x" * 1000})
            file.write(f"{row}\n" * 150)
    draft = sniff_files("shop", str(path))
    assert (draft.first_day, draft.last_day) in [(date(2024, 2, 1), date(2024, 2, 28)), (date(2024, 2, 1), None)]
    days = {record["when"][:10] for record in draft.records}
    assert {"2024-02-01", "2024-02-28"} <= days
    assert len(days) > 10
    found = draft.finding("source.day_column")
    assert found is not None
    assert found.certainty is (Certainty.SURE if draft.last_day else Certainty.UNSURE)


def test_an_export_that_cannot_be_read_in_time_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [ROWS[0] | {"when": f"2024-03-0{1 + n // 600}T10:00:00Z", "n": n} for n in range(5_000)]
    whole = sniffed(tmp_path, rows).finding("source.day_column")
    monkeypatch.setattr("posthog_assets.pipeline.sniffing.days._READABLE", 10_000)
    sampled = sniffed(tmp_path, rows).finding("source.day_column")
    assert whole is not None
    assert sampled is not None
    assert (whole.certainty, "9 days, 2024-03-01 to 2024-03-09" in whole.evidence) == (Certainty.SURE, True)
    assert (sampled.certainty, "of a sample the days are" in sampled.evidence) == (Certainty.UNSURE, True)


def test_a_file_that_breaks_off_is_told_by_its_beginning(tmp_path: Path) -> None:
    whole = gzip.compress(lines([row | {"id": n * 7919} for n, row in enumerate(ROWS * 200)]))
    (tmp_path / "events.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    draft = sniff_files("shop", str(tmp_path / "events.jsonl.gz"))
    assert draft.attributes["dialect"]["timestamp"] == {"column": "when"}
    (tmp_path / "events.jsonl.gz").write_bytes(whole[:12])
    with pytest.raises(BrokenPart, match="cannot be read"):
        sniff_files("shop", str(tmp_path / "events.jsonl.gz"))


def test_a_bad_line_at_the_beginning_does_not_hide_the_format(tmp_path: Path) -> None:
    (tmp_path / "events.txt").write_bytes(b"oops\n" + lines(ROWS))
    draft = sniff_files("shop", str(tmp_path / "events.txt"))
    assert draft.attributes["source"]["format"] == "jsonl"
    assert (draft.read, sum(draft.rejected.values())) == (61, 1)


def test_a_name_with_the_signs_of_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "br[a]ck{x}"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(lines(ROWS))
    for where in (folder, folder / "a.jsonl"):
        source = sniff_files("shop", str(where)).attributes["source"]
        assert source["path"] == f"{tmp_path}/br[[]a]ck?x?/a.jsonl"
        assert [file.path for file in Files.model_validate(source).find(date(2024, 3, 1))] == [str(folder / "a.jsonl")]


def words_of(draft: Draft, setting: str) -> list[str]:
    return [found.evidence for found in draft.findings if found.setting == setting]


def test_the_files_of_a_week_are_split_by_the_time_of_their_records(tmp_path: Path) -> None:
    for day in ("2024-03-04", "2024-03-11"):
        first = date.fromisoformat(day)
        rows = [ROWS[0] | {"when": f"{first + timedelta(days=n // 4)}T10:00:00Z", "n": n} for n in range(28)]
        (tmp_path / f"export-{day}.jsonl").write_bytes(lines(rows))
    draft = sniff_files("shop", str(tmp_path))
    assert draft.attributes["source"] == {"type": "files", "path": f"{tmp_path}/export-*.jsonl", "day_column": "when"}
    assert (draft.first_day, draft.last_day) == (date(2024, 3, 4), date(2024, 3, 17))


def test_files_of_the_day_after_their_records_are_still_a_days(tmp_path: Path) -> None:
    for day in (2, 3):
        rows = [ROWS[0] | {"when": f"2024-03-0{day - 1}T10:00:00Z", "n": n} for n in range(9)]
        (tmp_path / f"2024-03-0{day}.jsonl").write_bytes(lines(rows))
    assert sniff_files("shop", str(tmp_path)).attributes["source"]["path"] == f"{tmp_path}/{{day}}.jsonl"


def test_days_that_cannot_be_true_do_not_stretch_the_import(tmp_path: Path) -> None:
    odd = [ROWS[0] | {"when": "0001-01-01T00:00:00Z"}, ROWS[0] | {"when": "2099-01-01T00:00:00Z"}]
    draft = sniffed(tmp_path, [*ROWS, *odd])
    assert (draft.first_day, draft.last_day) == (date(2024, 3, 1), date(2024, 3, 3))
    assert words_of(draft, "source.day_column") == [
        "one file holds all days: 3 days, 2024-03-01 to 2024-03-03, by when",
        "2 records of days that cannot be true (0001-01-01, 2099-01-01) will not be imported",
    ]


def test_files_of_another_format_are_named_as_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid,when\nu1,2024-03-01T10:00:00Z\n")
    (tmp_path / "b.jsonl").write_bytes(lines(ROWS))
    (tmp_path / "manifest.json").write_text("{}")
    draft = sniff_files("shop", str(tmp_path))
    assert words_of(draft, "source.path") == [
        "left out, being files of another format: a.csv. They need an import of their own"
    ]
    assert [found.setting for found in draft.unsure] == ["source.path"]


def test_a_file_without_the_time_of_an_event_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(lines(ROWS))
    (tmp_path / "users.jsonl").write_bytes(lines([{"uid": f"u{n}", "email": "x"} for n in range(5)]))
    assert words_of(sniff_files("shop", str(tmp_path)), "source.path") == [
        "without the column when: users.jsonl. Name only the files that hold events"
    ]


def test_csv_files_of_other_tables_are_refused_with_the_file_to_name(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,ts\nu1,2024-03-01T10:00:00Z\n" * 1)
    (tmp_path / "users.csv").write_text("user_id,email\nu1,x@mail.example\n")
    with pytest.raises(ImportFileError, match=r"users.csv has no column ts\. Name only .* --from .*/events.csv$"):
        sniff_files("shop", str(tmp_path))


def test_an_object_around_the_records_is_unfolded_where_its_file_is_a_days(tmp_path: Path) -> None:
    rows = [{"event": "view", "user_id": f"u{n % 4}", "time": f"2024-03-01T10:00:{n:02}Z"} for n in range(30)]
    (tmp_path / "2024-03-01.json").write_text(json.dumps({"next": None, "results": rows}))
    draft = sniff_files("shop", str(tmp_path))
    assert draft.attributes["source"]["unfold"] == "results"
    assert draft.attributes["dialect"]["user_id"] == {"column": "results.user_id"}
    assert (draft.read, len(preview_draft(draft))) == (30, 5)
    (tmp_path / "2024-03-01.json").rename(tmp_path / "all.json")
    with pytest.raises(ImportFileError, match=r"records are in the list 'results'.*jq -c '.results\[\]' FILE"):
        sniff_files("shop", str(tmp_path / "all.json"))


def test_texts_that_a_database_writes_for_nothing_are_no_values(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "event,user_id,device_id,ts\n" + "".join(f"view,\\N,d{n},2024-03-01T10:00:{n:02}Z\n" for n in range(30))
    )
    draft = sniff_files("shop", str(tmp_path / "a.csv"))
    assert draft.attributes["dialect"]["nulls"] == ["", "\\N"]
    assert [sample.after["distinct_id"][0] for sample in preview_draft(draft) if sample.after] == ["d"] * 5


def test_a_vendors_records_in_the_columns_of_a_warehouse_are_marked(tmp_path: Path) -> None:
    flat = [{"event": record["event"]} | record["properties"] for record in made("mixpanel")]
    draft = sniffed(tmp_path, flat)
    found = draft.finding("dialect.type")
    assert found is not None
    assert (found.value, found.certainty) == ("columns", Certainty.UNSURE)
    assert "are columns of Mixpanel, as in a warehouse" in found.evidence


def test_columns_are_named_where_the_guess_finds_none(tmp_path: Path) -> None:
    rows = [{"kde": ("a", "b")[n % 2], "xyz": f"u{n % 4}", "created": f"2024-03-01T10:00:{n:02}Z"} for n in range(30)]
    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    with pytest.raises(ImportFileError, match=r"among: kde, xyz, created.*name it: --column user_id=COLUMN"):
        sniff_files("shop", str(tmp_path / "a.jsonl"))
    draft = sniff_files("shop", str(tmp_path / "a.jsonl"), columns={"user_id": "xyz", "event": "kde"})
    assert draft.attributes["dialect"]["user_id"] == {"column": "xyz"}
    assert draft.attributes["dialect"]["event"] == {"column": "kde"}


def test_numbers_with_a_decimal_comma_are_marked_as_text(tmp_path: Path) -> None:
    rows = "".join(f"view;u{n};2024-03-01T10:00:{n:02}Z;1.234,5{n};{n}\n" for n in range(30))
    (tmp_path / "a.csv").write_text("event;user_id;ts;price;count\n" + rows)
    draft = sniff_files("shop", str(tmp_path / "a.csv"))
    assert words_of(draft, "dialect.types") == ["price: numbers with a decimal comma, which stay text"]
    assert "    # UNSURE: types: price: numbers" in draft_text(draft)


def test_a_record_of_an_impossible_day_is_counted_once_though_it_is_sampled_and_read(tmp_path: Path) -> None:
    rows = [{"event": "view", "user_id": f"u{n}", "at": f"2024-03-{1 + n % 9:02}T10:00:00Z"} for n in range(20_000)]
    rows[3]["at"] = "0001-01-01T00:00:00Z"
    (tmp_path / "all.jsonl").write_bytes(lines(rows))
    assert words_of(sniff_files("shop", str(tmp_path / "all.jsonl")), "source.day_column") == [
        "one file holds all days: 9 days, 2024-03-01 to 2024-03-09, by at",
        "1 record of days that cannot be true (0001-01-01) will not be imported",
    ]
