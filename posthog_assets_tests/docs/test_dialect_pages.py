"""The pages that are made from the dialects say which fields are not imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from posthog_assets.dialects import DIALECTS
from posthog_assets.dialects.vendor import Vendor

pytest.importorskip("mkdocs", reason="needs the dependency group docs")

HOOKS = Path(__file__).resolve().parents[2] / "docs/hooks.py"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("docs_hooks", HOOKS)
    assert spec and spec.loader
    hooks: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return {name: make() for name, make in hooks.GENERATED.items() if name.startswith("dialects/")}


def test_every_dialect_has_a_page_and_none_takes_the_place_of_one_by_hand(pages: dict[str, str]) -> None:
    assert {name.removeprefix("dialects/").removesuffix(".md").removesuffix("-fields") for name in pages} == set(
        DIALECTS
    )
    assert not [name for name in pages if (HOOKS.parent / "pages" / name).exists()]


@pytest.mark.parametrize("name", [name for name, dialect in DIALECTS.items() if issubclass(dialect, Vendor)])
def test_the_page_names_each_field_that_is_not_imported_with_the_reason(name: str, pages: dict[str, str]) -> None:
    page = pages.get(f"dialects/{name}.md") or pages[f"dialects/{name}-fields.md"]
    section = page.split("## What is not imported")[1].split("## ")[0]
    dialect = DIALECTS[name]
    assert issubclass(dialect, Vendor)
    for field, why in dialect.not_imported.items():
        assert f"| {field} | not imported | {why} |" in section
    for event, why in dialect.left_out.items():
        assert f"| `{event}` | {why} |" in section
    assert ("fields that this table does not name" in section) is not dialect.takes_others


def test_the_page_of_amplitude_has_what_it_leaves_out(pages: dict[str, str]) -> None:
    page = pages["dialects/amplitude.md"]
    assert "| `session_end` | " in page
    assert "fields_left_out" in page
