"""The page of the import file, which is made from its model, has all of it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.dialects import DIALECTS
from posthog_assets.mapping.steps import STEPS
from posthog_assets.sources import SOURCES

pytest.importorskip("mkdocs", reason="needs the dependency group docs")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page() -> str:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/hooks.py")
    assert spec and spec.loader
    hooks: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    text: str = hooks.GENERATED["reference/import-file.md"]()
    return text


def anchors(page: str) -> set[str]:
    heads = re.findall(r"^## (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", head).lower().replace(" ", "-") for head in heads}


def test_every_source_dialect_and_step_has_a_section(page: str) -> None:
    heads = set(re.findall(r"^## (.*)$", page, re.MULTILINE))
    assert {f"source: {name}" for name in SOURCES} <= heads
    assert {f"dialect: {name}" for name in DIALECTS} <= heads
    assert {f"step: {name}" for name in STEPS} <= heads


def test_every_link_leads_to_a_section(page: str) -> None:
    assert set(re.findall(r"\(#([\w-]+)\)", page)) - anchors(page) == set()
    for path in (ROOT / "docs/pages").rglob("*.md"):
        assert set(re.findall(r"import-file\.md#([\w-]+)", path.read_text())) - anchors(page) == set(), path


def test_a_field_that_is_a_section_links_to_it(page: str) -> None:
    assert "| `destination` | [Destination](#destination) |" in page
    assert "| `source` | section, by its `type` | required |" in page
    assert "| `compression` | `none`, `gzip`, `zstd`, `bz2`, `zip` |" in page
