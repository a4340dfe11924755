"""HogQL as ClickHouse reads it, and what is refused."""

from __future__ import annotations

import pytest

from posthog_assets.sandbox.hogql import QueryRefused, printed, translate


def test_answers_are_limited_as_posthog_limits_them() -> None:
    assert translate("SELECT uuid FROM events").endswith(" LIMIT 100")
    assert translate("SELECT uuid FROM events LIMIT 70000").endswith(") LIMIT 50000")
    assert translate("SELECT uuid FROM events LIMIT 70000", 10_000).endswith(") LIMIT 10000")
    assert printed("SELECT uuid  FROM events LIMIT 70000", 10_000) == "SELECT uuid FROM events LIMIT 10000"
    assert printed("SELECT uuid FROM events limit 7") == "SELECT uuid FROM events limit 7"
    assert printed("SELECT uuid FROM events") == "SELECT uuid FROM events LIMIT 100"
    with pytest.raises(QueryRefused, match="parentheses"):
        translate("SELECT (1 FROM events")


def test_a_property_is_text_and_null_where_it_is_missing_null_or_empty() -> None:
    read = (
        "nullIf(nullIf(if(JSONType(properties, 'it\\'s') = 'String', JSONExtractString(properties, 'it\\'s'), "
        "JSONExtractRaw(properties, 'it\\'s')), ''), 'null')"
    )
    assert translate("SELECT properties.`it's` FROM events LIMIT 1") == (
        f"SELECT * FROM (SELECT {read} FROM events LIMIT 1) LIMIT 50000"
    )


def test_tables_of_posthogs_system_are_not_clickhouses() -> None:
    assert translate("SELECT type FROM system.ingestion_warnings") == "SELECT type FROM ingestion_warnings LIMIT 100"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("INSERT INTO events VALUES (1)", "only SELECT"), ("", "only SELECT"),
        ("SELECT 1 FROM system.tables", "system.tables"),
        ("SELECT sleep(3)", "Unsupported function call 'sleep"), ("SELECT 1 FROM numbers(5)", "Unknown table: numbers"),
        ("SELECT 1 SETTINGS readonly = 0", "SETTINGS is not allowed"), ("SELECT 1; SELECT 2", "unexpected ';'"),
        ("SELECT other.x FROM events", "Unknown table: other"),
    ],
)  # fmt: skip
def test_what_is_not_known_to_be_harmless_is_refused(query: str, words: str) -> None:
    with pytest.raises(QueryRefused, match=words):
        translate(query)
