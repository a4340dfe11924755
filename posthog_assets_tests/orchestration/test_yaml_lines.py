"""The line of a field in a defs.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthog_assets.orchestration.yaml_lines import lines_of

TEXT = """\
type: posthog_assets.HistoricalImport
attributes:
  name: shop
  mapping:
    steps:
      - step: drop
        names: [a]
      - step: keep
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 3), (("mapping", "steps"), 5), (("mapping", "steps", 1), 8), (("mapping", "steps", 0, "names"), 7),
        # What is missing has the line of the section that it is missing in.
        (("mapping", "rename"), 4), (("source",), 2), (("mapping", "steps", 9), 5),
    ],
)  # fmt: skip
def test_a_field_stands_on_the_line_of_its_key(path: tuple[str | int, ...], line: int, tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text(TEXT)
    assert lines_of(file)(path) == line


@pytest.mark.parametrize("text", ["a: [", f"{TEXT}---\n{TEXT}", ""])
def test_where_a_line_is_unknown_there_is_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "defs.yaml"
    file.write_text(text)
    assert lines_of(file)(("name",)) is None
    assert lines_of(tmp_path / "gone.yaml")(("name",)) is None
