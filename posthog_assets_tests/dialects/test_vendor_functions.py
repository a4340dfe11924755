"""The functions that are compiled for a dialect: made once, and only where its tables say all of it."""

from __future__ import annotations

from typing import Any

import orjson

from posthog_assets.dialects import DIALECTS, load_dialect
from posthog_assets.dialects.vendor_functions import lines_of, not_of, rows_of
from posthog_assets.sources.formats.json_lines import unparsed
from posthog_assets_tests.dialects.test_any_object import EXAMPLES, dialect


def test_a_class_with_a_read_of_its_own_has_not_the_reader_of_its_parent() -> None:
    mixpanel: Any = DIALECTS["mixpanel"]

    class Own(mixpanel):  # type: ignore[misc]
        def read(self, record: dict[str, Any]) -> Any:
            reading = super().read(record)
            reading.event = "renamed"
            return reading

    assert lines_of(Own, has_groups=False) is None
    batch = Own().stage(unparsed([orjson.dumps(EXAMPLES["mixpanel"])], 1), "part")
    assert batch["event"].to_pylist() == ["renamed"]


def test_a_function_is_made_once_for_each_dialect_and_kind_of_record() -> None:
    amplitude: Any = DIALECTS["amplitude"]
    assert rows_of(amplitude, of_texts=True, has_groups=False) is rows_of(amplitude, of_texts=True, has_groups=False)
    assert rows_of(amplitude, of_texts=True, has_groups=False) is not rows_of(
        amplitude, of_texts=False, has_groups=False
    )
    assert lines_of(amplitude, has_groups=True) is not lines_of(amplitude, has_groups=False)


def test_what_is_wrong_with_a_record_is_named_with_its_dialect_and_cut() -> None:
    rejected = not_of(load_dialect(dialect("amplitude")), KeyError("x" * 1_000))  # type: ignore[arg-type]
    assert str(rejected).startswith("record is not what amplitude writes: KeyError: 'xxx")
    assert len(str(rejected)) < 300
