"""How the records of a file are framed, by its first bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.sniffing.framing import sniff_framing

LINE = b'{"a":1}\n'


def settings(name: str, content: bytes) -> dict[str, Any]:
    return sniff_framing(name, io.BytesIO(content))[0]


def zipped(member: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.jsonl", LINE, {}),
        ("a.json", LINE, {}),
        ("a.json", b'[{"a":1}]', {}),
        ("a.txt", LINE, {"format": "jsonl"}),
        ("a.txt", b'[{"a":1}]', {"format": "json"}),
        ("a.txt", b'{\n "a": 1\n}', {"format": "json"}),
        ("a.csv", LINE, {"format": "jsonl"}),
        ("a", b"id,name\n1,x\n", {"format": "csv"}),
        ("a.jsonl", gzip.compress(LINE), {"compression": "gzip"}),
        ("a.jsonl.gz", gzip.compress(LINE), {}),
        ("a.jsonl.gz", LINE, {"compression": "none"}),
        ("a.zip", zipped("b.jsonl", LINE), {}),
    ],
)
def test_only_what_the_name_does_not_show_is_a_setting(name: str, content: bytes, found: dict[str, Any]) -> None:
    assert settings(name, content) == found


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("a.csv", "id;name\n1;x\n2;y\n", {"delimiter": ";"}),
        ("a.csv", "id\tname\n1\tx\n", {"delimiter": "\t"}),
        ("a.tsv", "id\tname\n1\tx\n", None),
        ("a.csv", "id,name\n1,x\n", None),
        ("a.csv", "1,x@y.example\n2,z@y.example\n", {"columns": ["column_1", "column_2"]}),
        ("a.csv", "view,view\nbuy,view\n", {"columns": ["column_1", "column_2"]}),
        # The reader gives a repeated and a missing name one of its own.
        ("a.csv", "id,id\n1,2\n", None),
        ("a.csv", ",event\n0,view\n1,buy\n", None),
        ("a.csv", "'id','name'\n'1','a,b'\n", {"quote": "'"}),
    ],
)
def test_the_options_of_csv_are_told_by_its_lines(name: str, text: str, options: dict[str, Any] | None) -> None:
    assert settings(name, text.encode()).get("csv") == options


def test_text_that_is_not_utf_8_is_read_as_windows_wrote_it() -> None:
    assert settings("a.csv", "id,name\n1,Zoë\n".encode("cp1252"))["csv"] == {"encoding": "cp1252"}
    # A character may be cut off at the end of what is looked at; one that is whole and wrong is no such.
    assert settings("a.csv", "id,name\n1,Zoë".encode()[:-1]) == {}
    # So is the last letter of a file that has no other accent, and no line end.
    assert settings("a.csv", "id,name\n1,André".encode("cp1252"))["csv"] == {"encoding": "cp1252"}
    assert settings("a.csv", "id,name\n1,Zoë\n2,Zo\u0113".encode()[:-1]) == {}
    assert settings("a.csv", "id,name\n1,Zoë\n".encode("utf-16"))["csv"] == {"encoding": "utf-16"}


def test_utf_16_is_known_without_a_mark_at_its_beginning() -> None:
    text = "id,name\n1,Zoë\n"
    assert settings("a.csv", text.encode("utf-16-le"))["csv"] == {"encoding": "utf-16-le"}
    assert settings("a.csv", text.encode("utf-16-be"))["csv"] == {"encoding": "utf-16-be"}


def tarred(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        info = tarfile.TarInfo("a.jsonl")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.orc", b"ORC\n\x06\x12", "a.orc is an ORC file, which is not read: write it as Parquet"),
        ("a.xlsx", zipped("xl/workbook.xml", b"<workbook/>"), "a.xlsx is an Excel workbook, .* save its sheet as CSV"),
        ("a.tar.gz", tarred(LINE), r"a.tar.gz is a tar archive, .* unpack it and point at the folder"),
        ("a.json", b"<!DOCTYPE html><html>Sign in</html>", "a.json is a web page, .* a login or an error page"),
    ],
)
def test_what_is_known_and_not_read_is_refused_with_what_to_do(name: str, content: bytes, words: str) -> None:
    with pytest.raises(ImportFileError, match=words):
        settings(name, content)


def test_a_zip_with_files_of_several_kinds_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("README.txt", "An export")
        archive.writestr("a.jsonl", LINE)
        archive.writestr("b.jsonl", LINE)
    with pytest.raises(ImportFileError, match=r"holds files of several kinds \(README.txt, a.jsonl\).*unpack it"):
        settings("a.zip", file.getvalue())


def test_an_empty_file_and_one_of_another_kind_are_refused() -> None:
    with pytest.raises(ImportFileError, match=r"a.csv is empty"):
        settings("a.csv", b"")
    with pytest.raises(ImportFileError, match="a is none of the formats that can be read"):
        settings("a", b"\x00\x01\x02\x03")
