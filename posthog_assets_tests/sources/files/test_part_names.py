"""Names of the parts that files become."""

from __future__ import annotations

import pytest

from posthog_assets.sources.files.locations import Found
from posthog_assets.sources.files.part_names import base_name, extract_name, part_name


def found(path: str) -> Found:
    return Found(path, f"file://{path}", "size=1", 1)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/exports/2013/a b.jsonl.gz", "a_b-0509e506.jsonl.gz"),
        ("/exports/2013/.hidden.csv", "_hidden-8e5980df.csv"),
        ("/exports/été.parquet", "_t_-2c1df475.parquet"),
        ("/exports/events", "events-361291d3"),
        ("/exports/.gz", "part-dbbf1829.gz"),
        ("https://host/a.v2.jsonl.zst?signature=x.gz", "a.v2-bbf09b4d.jsonl.zst"),
    ],
)
def test_a_part_bears_the_name_of_its_file(path: str, name: str) -> None:
    assert part_name(found(path)) == name


def test_files_of_one_name_in_two_folders_are_two_parts() -> None:
    assert part_name(found("/a/x.jsonl")) != part_name(found("/b/x.jsonl"))


def test_a_long_name_is_cut_and_keeps_its_suffixes() -> None:
    assert part_name(found(f"/{'x' * 300}.jsonl.gz")).startswith("x" * 100 + "-")
    assert part_name(found(f"/{'x' * 300}.jsonl.gz")).endswith(".jsonl.gz")


def test_an_extract_bears_the_day_and_the_suffix_of_what_it_is_kept_as() -> None:
    assert extract_name(found("/a/all.csv.gz"), "2013-01-01.1", ".csv.zst") == (
        f"all-{found('/a/all.csv.gz').id}.2013-01-01.1.csv.zst"
    )


def test_the_query_of_an_address_is_no_part_of_its_name_and_a_question_mark_on_disk_is() -> None:
    assert base_name(found("https://host/a/b.csv?x=/y")) == "b.csv"
    assert base_name(found("/a/b?.csv")) == "b?.csv"
