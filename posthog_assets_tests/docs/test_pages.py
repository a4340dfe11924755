"""The pages of the documentation: import files in them load, commands exist, links lead to every page."""

from __future__ import annotations

import posixpath
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import yaml

from posthog_assets.cli.main import cli
from posthog_assets.dialects import DIALECTS
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.conftest import small_attributes

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs/pages").rglob("*.md")])

#: What `{{ env.NAME }}` becomes where the value must have a shape.
VALUES = {
    "POSTHOG_HOST": "https://eu.i.posthog.com",
    "POSTHOG_PROJECT_API_KEY": "phc_documentation",
    "POSTHOG_PERSONAL_API_KEY": "phx_documentation",
    "POSTHOG_PROJECT_ID": "1",
    "POSTHOG_TEST_KEY": "phc_test_project",
    "SHOP_DATABASE_URL": "sqlite:////tmp/shop.db",
    "UMAMI_DATABASE_URL": "sqlite:////tmp/umami.db",
    "HASH_KEY": "a key of sixteen letters",
    "SLACK_WEBHOOK": "https://hooks.example.com/services/T0/B0",
}


@pytest.fixture(autouse=True)
def my_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's own package, as far as the pages spell it out: `my_package.steps` has the steps that they define."""
    steps = ModuleType("my_package.steps")
    for page in PAGES:
        for text in blocks(page, "python"):
            if "(Step)" in text:
                exec(compile(text, of_page(page), "exec"), vars(steps))
    monkeypatch.setitem(sys.modules, "my_package", ModuleType("my_package"))
    monkeypatch.setitem(sys.modules, "my_package.steps", steps)


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of *page* in *language*, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", page.read_text(), re.DOTALL | re.MULTILINE)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in found]


def of_page(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


YAML_BLOCKS = [
    pytest.param(text, id=f"{of_page(page)}-{number}")
    for page in PAGES
    for number, text in enumerate(blocks(page, "ya?ml"), 1)
]

COMMANDS = [
    pytest.param(line, id=f"{of_page(page)}: {line[:80]}")
    for page in PAGES
    for text in [*blocks(page, "sh"), *blocks(page, "bash")]
    for line in text.replace("\\\n", " ").splitlines()
    if re.search(r"(^|run .*)\bposthog-assets\b", line)
]


def filled_in(value: Any) -> Any:
    """Return *value* as it is once the environment is filled in; a secret without a shape becomes `secret`."""
    if isinstance(value, dict):
        return {key: filled_in(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled_in(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"\{\{ *env\.(\w+) *\}\}", lambda found: VALUES.get(found[1], "secret"), value)
    return value


def attributes_of(text: str) -> dict[str, Any] | None:
    """Return the attributes of an import file or of a part of one; None for a YAML file of another kind."""
    found = filled_in(yaml.safe_load(text))
    if isinstance(found, dict) and "attributes" in found:
        return found["attributes"]
    if isinstance(found, dict) and found and set(found) <= set(Import.model_fields):
        return found
    return None


@pytest.mark.parametrize("text", YAML_BLOCKS)
def test_every_import_file_and_every_part_of_one_loads(text: str, tmp_path: Path) -> None:
    attributes = attributes_of(text)
    if attributes is None:
        pytest.skip("no part of an import file")
    whole = small_attributes(tmp_path) | attributes
    if {"automation"} & set(attributes) and "end_date" not in attributes:
        whole.pop("end_date", None)
    Import.read(whole, where="the documentation")


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_option_exists(line: str) -> None:
    words = shlex.split(line.split("posthog-assets", 1)[1], comments=True)
    if not words:
        return
    try:
        name, command, rest = cli.resolve_command(click.Context(cli), words)
        assert command is not None
        command.make_context(name, rest)
    except click.exceptions.Exit:
        return
    except click.BadParameter as problem:
        # A file of the example need not be on this machine; an option that does not exist is a fault of the page.
        assert "does not exist" in problem.format_message()


def links(page: Path) -> set[str]:
    """Return the pages of the documentation to which *page* has a link, by their paths below `docs/pages`."""
    found = re.findall(r"\]\(([^)#\s:]+\.md)(?:#[^)\s]*)?\)", page.read_text())
    folder = posixpath.dirname(page.relative_to(ROOT / "docs/pages").as_posix())
    return {posixpath.normpath(posixpath.join(folder, target)) for target in found}


def test_a_link_of_another_page_leads_to_every_page() -> None:
    pages = {page.relative_to(ROOT / "docs/pages").as_posix(): page for page in PAGES if page.name != "README.md"}
    linked = {target for name, page in pages.items() for target in links(page) - {name}}
    assert sorted(pages.keys() - linked - {"index.md"}) == []


@pytest.mark.parametrize(
    ("page", "pattern"),
    [
        ("docs/pages/guides/init.md", r"whose records they are \((.*?)\)"),
        ("README.md", r"Records of (.*?) are mapped to PostHog's own"),
    ],
)
def test_a_list_of_vendors_names_every_dialect_of_one(page: str, pattern: str) -> None:
    listed = re.search(pattern, (ROOT / page).read_text(), re.DOTALL)
    assert listed is not None
    names = re.split(r",\s+|\s+and\s+", listed[1])
    assert sorted(name.lower() for name in names) == sorted(DIALECTS.keys() - {"columns"})
