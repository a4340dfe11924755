"""The first hour of a new user: a fresh clone in a fresh environment, an export, and the five commands of the guide."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from posthog_assets_tests.fakes.forked_commands import ForkedCommands
from posthog_assets_tests.records.exports import EXPORTS

ROOT = Path(__file__).resolve().parents[2]

#: What a user points at: the import's name, the file beside the repository, and what is found in it.
REAL = {
    "wikipedia": ("wikipedia-edits-2015-09-12.jsonl.gz", "columns", "2015-09-12", 39_244),
    "github": ("github-events-2021-07-21.jsonl.gz", "columns", "2021-07-21", 800),
    "chinook": ("chinook.sqlite", "columns", "2021-01-01", 1),
}


#: Group types in a vendor's files, which the project of a new user does not have.
GROUP_TYPES = {"pendo": "company"}


@dataclass
class Newcomer:
    """A person in a project folder of their own, with the package installed from a fresh clone."""

    command: Path
    folder: Path
    environment: dict[str, str]
    forked: ForkedCommands | None = None

    def run(self, *arguments: str) -> str:
        """Run `posthog-assets` with *arguments*; returns what it prints. It must succeed."""
        if self.forked:
            code, printed = self.forked.run(list(arguments), self.folder)
            assert code == 0, f"{arguments}: {printed}"
            return printed
        done = subprocess.run(
            [self.command, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout


def quiet(*command: str | Path, **options: Any) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, **options)
    if done.returncode and os.environ.get("CI") != "true" and re.search("network|connect|resolve|fetch", done.stderr):
        pytest.skip(f"needs the packages of a fresh environment: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def newcomer(shared_sandbox: Any, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    uv = shutil.which("uv")
    if uv is None or not (ROOT / ".git").exists():
        pytest.skip("needs uv, and a clone of the repository")
    base = tmp_path_factory.mktemp("newcomer")
    # uv must make an environment in the clone: UV_PROJECT_ENVIRONMENT would name the one that runs these tests.
    foreign = ("VIRTUAL_ENV", "PYTHON", "DAGSTER", "UV_PROJECT")
    outside = {key: text for key, text in os.environ.items() if not key.startswith(foreign)}
    quiet("git", "clone", "--quiet", "--no-hardlinks", ROOT, base / "clone")
    quiet(uv, "sync", "--quiet", "--extra", "sandbox", "--extra", "report", "--extra", "sql",
          cwd=base / "clone", env=outside)  # fmt: skip
    home = base / "dagster"
    home.mkdir()
    shutil.copy(ROOT / ".dagster_home/dagster.yaml", home)
    project = base / "shop"
    project.mkdir()
    return Newcomer(
        base / "clone/.venv/bin/posthog-assets",
        project,
        outside | {
            "DAGSTER_HOME": str(home), "POSTHOG_HOST": shared_sandbox.url, "POSTHOG_PROJECT_API_KEY": "phc_any",
            "POSTHOG_PERSONAL_API_KEY": "phx_any", "POSTHOG_PROJECT_ID": "1",
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def practised(newcomer: Newcomer) -> Iterator[Newcomer]:
    """The same person, whose commands do not load the libraries again each time."""
    with ForkedCommands(newcomer.command.with_name("python"), newcomer.environment) as forked:
        yield replace(newcomer, forked=forked)


def walk(newcomer: Newcomer, name: str, where: Path, dialect: str, day: str, records: int | None) -> dict[str, Any]:
    """Take one export through init, preview, check, one day and report; returns what `init` wrote."""
    shown = newcomer.run("init", name, "--from", str(where))
    path = Path(shown.split("wrote ")[1].splitlines()[0])
    written = yaml.safe_load(path.read_text())["attributes"]
    assert (written["dialect"]["type"], written["start_date"]) == (dialect, day)
    first = newcomer.run("preview", name, "--day", day)
    match = re.search(r"([\d,]+) raw records? becomes? ([\d,]+) rows? .*, ([\d,]+) (?:is|are) rejected", first)
    assert match is not None, first
    raw, _, rejected = (int(number.replace(",", "")) for number in match.groups())
    assert (raw > 0, rejected) == (True, 0)
    assert records in (None, raw)
    if group_types := GROUP_TYPES.get(dialect):
        # The preview says that PostHog does not have them yet, and what to set where they are meant.
        assert f"new_group_types: [{group_types}]" in " ".join(first.split())
        text = path.read_text()
        path.write_text(text.replace("  destination:\n", f"  destination:\n    new_group_types: [{group_types}]\n"))
        assert path.read_text() != text
    checked = newcomer.run("check", name)
    assert "records were read through the dialect" in checked
    assert "problem" not in checked
    imported = newcomer.run("backfill", name, "--from", day, "--to", day, "--jobs", "1")
    numbers = dict(re.findall(r"^(days failed|events \w+) +([\d,]+)", imported, re.MULTILINE))
    assert (numbers["days failed"], numbers["events owed"], numbers["events rejected"]) == ("0", "0", "0")
    assert int(numbers["events acknowledged"].replace(",", "")) >= raw
    newcomer.run("report", name, "--html", f"{name}.html")
    page = (newcomer.folder / f"{name}.html").read_text()
    assert ("landed: 1<" in page, "failed: 0<" in page) == (True, True)
    return written


@pytest.mark.parametrize("vendor", sorted(EXPORTS))
def test_a_vendors_files_are_in_posthog_after_five_commands(vendor: str, practised: Newcomer, tmp_path: Path) -> None:
    walk(practised, f"of_{vendor}", EXPORTS[vendor](tmp_path), vendor, "2024-03-01", None)


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_data_is_in_posthog_after_five_commands(
    name: str, newcomer: Newcomer, practised: Newcomer, real_data: Callable[[str], Path]
) -> None:
    file, dialect, day, records = REAL[name]
    # One walk is a person's to the letter: each command is started from a shell.
    walk(newcomer if name == "github" else practised, name, real_data(file), dialect, day, records)
