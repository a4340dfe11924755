"""Which day each file of an export holds, by its path."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from posthog_assets.core.errors import ImportFileError, NoExport
from posthog_assets.pipeline.sniffing.layout import Layout, find_layout, refuse_nothing, whole_path


def layout(folder: Path, *names: str, where: str = "", content: str = "{}\n") -> Layout:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return find_layout(str(folder / where), {})


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (["2024-03-01.jsonl", "2024-03-02.jsonl"], "{day}.jsonl"),
        (["year=2024/month=03/day=01/a.jsonl", "year=2024/month=03/day=02/b.jsonl"],
         "{day:year=%Y/month=%m/day=%d}/*.jsonl"),
        (["2024/03/01/x-1.jsonl", "2024/03/01/x-2.jsonl", "2024/03/02/x-1.jsonl"], "{day:%Y/%m/%d}/x-*.jsonl"),
        (["e_20240301.jsonl", "e_20240302.jsonl"], "e_{day:%Y%m%d}.jsonl"),
        (["e-01-13-2024.jsonl", "e-02-01-2024.jsonl"], "e-{day:%m-%d-%Y}.jsonl"),
        (["e-13-01-2024.jsonl", "e-02-01-2024.jsonl"], "e-{day:%d-%m-%Y}.jsonl"),
    ],
)  # fmt: skip
def test_the_day_in_the_paths_becomes_the_partition(names: list[str], path: str, tmp_path: Path) -> None:
    found = layout(tmp_path, *names)
    assert found.path == f"{tmp_path}/{path}"
    assert found.names_days


def test_days_are_told_in_order_and_the_path_for_all_has_none(tmp_path: Path) -> None:
    found = layout(tmp_path, "2024-03-02.jsonl", "2024-03-01.jsonl")
    assert found.days == (date(2024, 3, 1), date(2024, 3, 2))
    assert whole_path(found) == f"{tmp_path}/*.jsonl"


@pytest.mark.parametrize("name", ["export-2024-13-45.jsonl", "export-1970-01-01.jsonl", "export-2999-01-01.jsonl"])
def test_a_number_that_is_no_plausible_day_names_none(name: str, tmp_path: Path) -> None:
    assert layout(tmp_path, name).days == ()


def test_files_of_another_kind_are_left_out_and_named(tmp_path: Path) -> None:
    found = layout(tmp_path, "a.jsonl", "b.jsonl", "README.md", "schema.jsonl", "x.csv")
    assert sorted(Path(file.path).name for file in found.files) == ["a.jsonl", "b.jsonl"]
    assert sorted(Path(path).name for path in found.left_out) == ["README.md", "schema.jsonl", "x.csv"]


def test_one_file_that_is_named_is_meant_whatever_signs_its_name_has(tmp_path: Path) -> None:
    found = layout(tmp_path, "a[1]*.jsonl", "a1.jsonl", where="a[1]*.jsonl")
    assert [Path(file.path).name for file in found.files] == ["a[1]*.jsonl"]
    assert whole_path(found) == f"{tmp_path}/a[[]1][*].jsonl"


def test_nothing_there_and_nothing_in_it_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoExport, match="there is no file at"):
        find_layout(str(tmp_path / "*.jsonl"), {})
    with pytest.raises(ImportFileError, match="every file there is empty"):
        refuse_nothing(layout(tmp_path, "a.jsonl", content=""))
