"""Steps of a mapping on the way from a file into the sandbox: added, changed, and refused after an import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posthog_assets.mapping.steps.base import need
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.conftest import small_import
from posthog_assets_tests.pipeline.test_whole_way import (
    checks,
    destination,
    failure,
    materialize,
    metadata,
    record,
    write_day,
)

DAY = "2024-03-01"


@pytest.mark.end_to_end
def test_a_step_added_after_an_import_replaces_its_events_and_one_that_moves_persons_is_refused(
    tmp_path: Path, sandbox: Any
) -> None:
    write_day(tmp_path, *[record(n, price="10", mail=f"{n}@a.example", code="USD") for n in range(1, 6)])

    def imp(*steps: dict[str, Any]) -> Import:
        return small_import(tmp_path, destination=destination(sandbox), mapping={"steps": list(steps)})

    assert materialize(imp(), DAY).success
    before = sorted(map(tuple, sandbox.query("SELECT DISTINCT uuid, distinct_id FROM events")))
    assert len(before) == 5
    money = {"step": "currency", "amount": "price", "currency": "code", "to": "EUR"}
    result = materialize(imp({"step": "redact", "find": ["email"]}, money), DAY)
    assert result.success
    assert all(checks(result).values())
    assert metadata(result, "imported_batches")["acknowledged"] == 5
    assert sorted(map(tuple, sandbox.query("SELECT DISTINCT uuid, distinct_id FROM events"))) == before
    latest = {event[0]: event[4] for event in sandbox.events()}
    # 2024-03-01: 1.0813 dollars a euro, as the European Central Bank published it.
    assert {(one["mail"], one["price_eur"]) for one in latest.values()} == {("[email]", 9.25)}

    refused = materialize(imp({"step": "hash", "key": "k" * 16, "ids": True}), DAY)
    assert "distinct_id" in failure(refused)
    assert sorted(map(tuple, sandbox.query("SELECT DISTINCT uuid, distinct_id FROM events"))) == before


def test_a_step_without_its_library_says_what_to_install() -> None:
    with pytest.raises(
        ValueError, match=r"the step geoip needs another package: pip install 'posthog_assets\[enrich\]'"
    ):
        need("no_such_module_here", "geoip")
