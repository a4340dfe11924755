"""How CSV files are written."""

from __future__ import annotations

from posthog_assets.sources.formats import detect
from posthog_assets_tests.sources.files.exporting import files


def test_the_layout_of_snowplow_brings_its_own_delimiter_and_no_quotes_unless_they_are_set() -> None:
    found = files(path="a/{day}", csv={"columns": "snowplow"}).csv.framing
    assert (found["delimiter"], found["quote"], len(found["columns"])) == ("\t", "", 131)
    own = files(path="a/{day}", csv={"columns": "snowplow", "delimiter": "|", "quote": "'", "encoding": "cp1252"})
    assert list(own.csv.framing.values())[:2] == ["|", "'"]
    assert own.csv.framing["encoding"] == "cp1252"


def test_what_identifies_a_day_with_a_header_is_what_it_was_before_there_were_columns() -> None:
    # These texts are part of digests in manifests: another one would export every day again.
    assert str(files(path="a/{day}.csv").csv) == "delimiter=None encoding='utf-8' quote='\"'"
    assert str(detect("a.csv")) == (
        "Framing(format=<Format.CSV: 'csv'>, compression=<Compression.NONE: 'none'>, delimiter=',', encoding='utf-8', "
        "quote='\"', unfold=None)"
    )
