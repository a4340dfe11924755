"""Import files read without Dagster are what Dagster reads; what needs Dagster is left to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthog_assets.orchestration.component import HistoricalImport
from posthog_assets.orchestration.loading import components
from posthog_assets.orchestration.plain_imports import read_plain_imports
from posthog_assets.orchestration.project_folder import OWN, find_project
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets_tests.orchestration.test_component import EVERY_FIELD
from posthog_assets_tests.records.shop import package_of

PLAIN = """\
type: posthog_assets.HistoricalImport
attributes:
  name: shop
  start_date: 2024-03-01
  end_date: 2024-03-31
  storage: "{{ env.SHOP_STORAGE }}"
  source: {type: files, path: "exports/{day}.csv"}
  dialect: {type: columns, event: {value: bought}, user_id: {column: customer}, timestamp: {column: at}}
  destination:
    host: "{{ env('SHOP_HOST', 'https://eu.i.posthog.com') }}"
    project_api_key: "{{ env.SHOP_KEY }}"
    project_id: "{{ env.SHOP_PROJECT }}"
"""


def with_file(project: Path, text: str, name: str = "defs.yaml") -> Path:
    """Write the import file and return the project's root."""
    (project / package_of(project) / "defs/shop" / name).write_text(text)
    return find_project(project)


def as_dagster_reads(root: Path) -> dict[str, Import]:
    found, broken = components(root, HistoricalImport)
    assert broken == {}
    return {imp.name: imp for component in found for imp in component.imports}


def shown(imports: dict[str, Import]) -> dict[str, tuple[str, str]]:
    """Return all fields of *imports*, whose storage and a trial's source are objects that equal only themselves."""
    return {name: (repr(imp), imp.mapping_version) for name, imp in imports.items()}


@pytest.fixture(autouse=True)
def _variables(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_STORAGE", str(project / "data"))
    monkeypatch.setenv("SHOP_KEY", "phc_shop")
    monkeypatch.setenv("SHOP_PROJECT", "42")
    monkeypatch.delenv("SHOP_HOST", raising=False)


def test_a_plain_file_is_the_import_that_dagster_reads(project: Path) -> None:
    root = with_file(project, PLAIN)
    plain = read_plain_imports(root)
    assert plain is not None
    assert list(plain) == ["shop"]
    assert plain == as_dagster_reads(root)
    shop = plain["shop"]
    assert (shop.destination.host, shop.storage) == ("https://eu.i.posthog.com", str(project / "data"))
    assert shop.start_date.isoformat() == "2024-03-01"


def test_a_file_with_a_trial_is_the_import_and_its_trial(project: Path) -> None:
    trial = "  trial: {persons: 0.5, destination: {host: https://us.i.posthog.com, project_api_key: phc_trial}}\n"
    root = with_file(project, PLAIN + trial)
    plain = read_plain_imports(root)
    assert plain is not None
    assert list(plain) == ["shop", "shop_trial"]
    assert shown(plain) == shown(as_dagster_reads(root))


def test_the_demo_is_read_without_dagster() -> None:
    plain = read_plain_imports(OWN)
    assert plain is not None
    assert list(plain) == ["nycflights"]
    assert plain["nycflights"].destination.host == "http://127.0.0.1:8010"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("type: posthog_assets.HistoricalImport", "type: my_package.components.OwnImport"),
        ("attributes:", "requirements: {env: [SHOP_KEY]}\nattributes:"),
        ("  name: shop", "---\n  name: shop"),
        ("{{ env.SHOP_STORAGE }}", "{{ project_root }}/data"),
        ("{{ env.SHOP_STORAGE }}", "{{ project_root | default('data') }}"),
        ("{{ env.SHOP_STORAGE }}", "{{ datetime.now().year }}"),
        ("('SHOP_HOST', 'https://eu.i.posthog.com')", "('SHOP_HOST')"),
        ("start_date: 2024-03-01", "start_date: the first of March"),
        ("project_api_key:", "project_key:"),
        ("attributes:", "attributes: ["),
    ],
)
def test_what_only_dagster_understands_and_what_is_wrong_is_left_to_dagster(old: str, new: str, project: Path) -> None:
    assert old in PLAIN
    assert read_plain_imports(with_file(project, PLAIN.replace(old, new))) is None


@pytest.mark.parametrize("name", ["defs.yml", "component.yaml"])
def test_a_second_file_of_a_component_is_left_to_dagster(name: str, project: Path) -> None:
    with_file(project, PLAIN)
    assert read_plain_imports(with_file(project, PLAIN, name)) is None


def test_a_written_secret_is_left_to_dagster_which_refuses_it(project: Path) -> None:
    written = PLAIN.replace(
        'source: {type: files, path: "exports/{day}.csv"}',
        "source: {type: stripe, resource: charges, api_key: WRITTEN}",
    )
    assert read_plain_imports(with_file(project, written.replace("WRITTEN", '"{{ env.SHOP_KEY }}"'))) is not None
    assert read_plain_imports(with_file(project, written)) is None


def test_every_field_is_read_as_dagster_reads_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "SHOP_HOST": "https://us.i.posthog.com",
        "SHOP_PERSONAL_KEY": "phx_any",
        "SHOP_RATE": "7",
    }.items():
        monkeypatch.setenv(name, text)
    # The user's own code is not part of this project.
    fields = EVERY_FIELD.replace(', {step: my_package.steps.Shout, sign: "!"}', "")
    fields = fields.replace("  transform: my_package.hooks:clean\n", "")
    indented = "".join(f"  {line}\n" for line in fields.strip().splitlines())
    root = with_file(project, f"type: posthog_assets.HistoricalImport\nattributes:\n{indented}")
    plain = read_plain_imports(root)
    assert plain is not None
    assert shown(plain) == shown(as_dagster_reads(root))
    assert plain["shop"].destination.max_events_per_second == 7
