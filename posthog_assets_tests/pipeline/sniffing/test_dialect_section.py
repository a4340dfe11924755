"""The section `dialect` that is written for records: a vendor's, or of columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.sniffing.dialect_section import dialect_section, event_name_of, of_newest_edition
from posthog_assets.pipeline.sniffing.draft import sniff_files
from posthog_assets.pipeline.sniffing.evidence import Certainty
from posthog_assets_tests.records.exports import lines, made

ROW = {"who": "u1", "when": "2024-03-01T10:00:00Z", "what": "page"}
ROWS = [ROW | {"who": f"u{n % 3}", "what": ("page", "buy")[n % 2], "note": "NULL"} for n in range(10)]


def test_what_no_vendor_is_known_by_is_of_columns_and_texts_for_nothing_are_named_where_there_are_no_types() -> None:
    section, findings = dialect_section(ROWS, "shop.csv", {}, untyped=True)
    assert section == {
        "type": "columns", "event": {"column": "what"}, "user_id": {"column": "who"}, "timestamp": {"column": "when"},
        "nulls": ["", "NULL"],
    }  # fmt: skip
    assert (findings[0].setting, findings[0].certainty) == ("dialect.type", Certainty.LIKELY)
    assert "nulls" not in dialect_section(ROWS, "shop.jsonl", {}, untyped=False)[0]


def test_records_without_a_name_get_that_of_their_file_which_is_marked() -> None:
    rows = [{"who": f"u{n}", "when": "2024-03-01 10:00:00"} for n in range(5)]
    section, findings = dialect_section(rows, "exports/2024-03-01_page-views.v2.csv.gz", {}, untyped=True)
    assert section["event"] == {"value": "page_views"}
    assert section["timestamp"] == {"column": "when", "timezone": "UTC"}
    assert [found.certainty for found in findings if found.setting == "dialect.event"] == [Certainty.UNSURE]


def test_records_of_nobody_are_refused_with_their_columns_and_the_option_that_names_one() -> None:
    with pytest.raises(ImportFileError) as raised:
        dialect_section([{"when": "2024-03-01T10:00:00Z", "price": 1.5}], "a.jsonl", {}, untyped=False)
    assert str(raised.value) == (
        "found no column that says who did it (a user or device) among: when, price. If one of them is it, name it: "
        "--column user_id=COLUMN; else posthog-assets init NAME --source files gives a template to fill in"
    )


def test_a_vendors_records_are_its_own_unless_columns_are_named() -> None:
    records: list[dict[str, Any]] = made("mixpanel")
    section, findings = dialect_section(records, "a.jsonl", {}, untyped=False)
    assert (section, findings[0].value) == ({"type": "mixpanel"}, "mixpanel")
    named, _ = dialect_section(records, "a.jsonl", {"user_id": "properties.distinct_id"}, untyped=False)
    assert (named["type"], named["user_id"]) == ("columns", {"column": "properties.distinct_id"})


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/Page Views.csv", "page_views"), ("events-2024.x.gz", "events"), ("2024-03-01.csv", "event"), ("a1b", "event")],
)
def test_a_name_of_a_file_is_its_words(path: str, name: str) -> None:
    assert event_name_of(path) == name


def test_an_edition_that_is_written_stays() -> None:
    assert of_newest_edition({"type": "segment", "edition": 1}) == {"type": "segment", "edition": 1}
    assert list(of_newest_edition({"type": "segment", "a": 1})) == ["type", "edition", "a"]


def test_files_of_several_vendors_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(made("amplitude")))
    (tmp_path / "b.jsonl").write_bytes(lines(made("mixpanel")))
    with pytest.raises(
        ImportFileError, match=r"several vendors: amplitude \(a.jsonl\), mixpanel \(b.jsonl\). Each needs .*/a.jsonl"
    ):
        sniff_files("shop", str(tmp_path))
