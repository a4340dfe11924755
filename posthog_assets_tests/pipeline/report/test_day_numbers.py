"""How far a day is, by its numbers."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFileSystem

from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.report.day_numbers import DayNumbers, DayState, numbers_of
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets_tests.conftest import small_import

DAY = date(2024, 3, 1)
DONE: dict[str, Any] = {
    "has_events": True, "events": Counter(page=3), "has_ledger": True, "acknowledged": 2, "dropped": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "state"),
    [
        ({}, DayState.NOT_IMPORTED),
        (DONE, DayState.ACKNOWLEDGED),
        (DONE | {"landed": 2}, DayState.LANDED),
        (DONE | {"acknowledged": 1}, DayState.OWED),
        (DONE | {"acknowledged": 1, "landed": 1}, DayState.OWED),
        # Pruned events owe nothing that is known.
        (DONE | {"has_events": False, "events": Counter(), "acknowledged": 0}, DayState.ACKNOWLEDGED),
        (DONE | {"acknowledged": 1, "landed": 1, "missing": 1}, DayState.MISSING_IN_POSTHOG),
        (DONE | {"landed": 2, "too_many_rejected": "why"}, DayState.TOO_MANY_REJECTED),
        (DONE | {"landed": 2, "missing": 1, "failure": "why"}, DayState.FAILED),
        ({"has_events": True, "events": Counter(page=3)}, DayState.NOT_IMPORTED),
    ],
)
def test_the_worst_that_is_known_of_a_day_is_its_state(numbers: dict[str, Any], state: DayState) -> None:
    assert DayNumbers(DAY, **numbers).state is state


class Elsewhere(MemoryFileSystem):  # type: ignore[misc]
    """A store in memory that notes which files are downloaded as a whole."""

    protocol = "elsewhere"
    downloaded: ClassVar[list[str]] = []

    def get_file(self, path: str, *arguments: Any, **options: Any) -> None:
        self.downloaded.append(path)
        super().get_file(path, *arguments, **options)


@pytest.mark.filterwarnings("ignore:UPath 'elsewhere'")
def test_the_numbers_of_a_day_in_a_store_elsewhere_take_no_download_of_the_day(tmp_path: Path) -> None:
    register_implementation("elsewhere", Elsewhere, clobber=True)
    (tmp_path / "exports").mkdir()
    lines = [f'{{"id":"{n}","user":"ann","at":"2024-03-01T10:00:00Z","what":"page"}}' for n in range(20)]
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join([*lines, '{"id":"20","at":"soon"}']) + "\n")
    imp = small_import(tmp_path, storage=f"elsewhere://{tmp_path.name}")
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    assert Elsewhere.downloaded
    Elsewhere.downloaded.clear()
    # As a command has it: nothing of the day is on this machine yet.
    (found,) = numbers_of(small_import(tmp_path, storage=f"elsewhere://{tmp_path.name}"), [DAY])
    assert (found.staged, found.events, found.rejected.total()) == (21, Counter(page=20), 1)
    assert Elsewhere.downloaded == []


def test_each_step_that_has_run_has_a_number_and_the_others_have_none(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    lines = ['{"id":"1","user":"ann","at":"2024-03-01T10:00:00Z","what":"page"}', '{"id":"2","at":"soon"}']
    (tmp_path / f"exports/{DAY}.jsonl").write_text("\n".join(lines) + "\n")
    imp = small_import(tmp_path)
    (before,) = numbers_of(imp, [DAY])
    assert (before.raw_records, before.staged, before.has_events) == (None, None, False)
    export_day(imp, DAY)
    stage_day(imp, DAY)
    transform_day(imp, DAY)
    (found,) = numbers_of(imp, [DAY], {DAY: "why"})
    assert (found.raw_records, found.staged, found.events, found.failure) == (2, 2, Counter(page=1), "why")
    assert {asset for asset, _ in found.rejected} == {"staged_events"}
    assert (found.rejected.total(), found.landed, found.has_ledger) == (1, None, False)
