"""Telling the framing from a name."""

from __future__ import annotations

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.sources.formats import Compression, Format, Framing, detect


@pytest.mark.parametrize(
    ("name", "format", "compression"),
    [
        ("events.jsonl", "jsonl", "none"),
        ("2015-09-12.ndjson.gz", "jsonl", "gzip"),
        ("s3://bucket/a.b/part-00000.JSON.GZ", "json", "gzip"),
        ("export.csv.zst", "csv", "zstd"),
        ("export.csv.bz2", "csv", "bz2"),
        ("part-0000.snappy.parquet", "parquet", "none"),
        ("posthog.parquet.zst", "parquet", "zstd"),
        ("allevents.avro", "avro", "none"),
        ("part-0000.snappy.avro.gz", "avro", "gzip"),
    ],
)
def test_suffixes_tell_format_and_compression(name: str, format: str, compression: str) -> None:
    assert detect(name) == Framing(Format(format), Compression(compression))


def test_tabs_separate_the_values_of_a_tsv() -> None:
    assert detect("a.tsv.gz").delimiter == "\t"
    assert detect("a.tsv", delimiter=";").delimiter == ";"


def test_explicit_settings_win_over_the_name() -> None:
    assert detect("dump.json.gz", "csv", "none") == Framing(Format.CSV, Compression.NONE)


def test_a_zip_leaves_the_format_to_its_members() -> None:
    assert detect("export.zip") == Framing(None, Compression.ZIP)


def test_a_name_that_tells_nothing_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(
        ImportFileError, match=r"part-00000: .*set source.format to one of jsonl, json, csv, parquet, avro"
    ):
        detect("exports/part-00000")


@pytest.mark.parametrize("name", ["part-00000", "2024-03-01-10.gz", "part-00000-c000.txt.gz"])
def test_what_has_columns_is_csv_where_its_name_does_not_tell(name: str) -> None:
    assert detect(name, columns=("a",)).format is Format.CSV
    assert detect("a.jsonl", columns=("a",)).format is Format.JSONL


def test_an_unknown_setting_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ImportFileError, match=r"source.compression 'rar' is unknown; allowed: none, gzip, zstd"):
        detect("a.jsonl", compression="rar")
