"""Pages show the text of whoever sent the events, and run none of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from posthog_assets.core.html_page import environment


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "pages_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "page.html").write_text(
        "<style>{{ style }}</style><h2 id='{{ title | slug }}'>{{ title | visible }}</h2>"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_names_are_escaped_and_hidden_characters_are_spelled_out(package: str) -> None:
    page = environment(package).get_template("page.html")
    shown = page.render(title="<script>alert(1)</script> a\u202eb")
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "\u202e" not in shown.partition("<h2")[2].partition(">")[2]


def test_the_style_is_no_text_of_a_user_and_stays_as_it_is(package: str) -> None:
    assert ":root { --ink: #1d1f27;" in environment(package).get_template("page.html").render(title="a")


def test_an_anchor_is_made_of_a_title(package: str) -> None:
    assert "id='new-events'" in environment(package).get_template("page.html").render(title="New events")


def test_a_name_that_a_template_misspells_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        environment(package).get_template("page.html").render(titel="a")
