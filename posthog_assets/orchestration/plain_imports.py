"""Reading import files without Dagster, which takes a second and more to load.

Belongs here: files that need nothing of Dagster but its spelling: a type, attributes, and variables of the environment.
Does not belong here: what else a component's file can hold, and what is wrong with a file. For those there is Dagster's
own way (`loading`), which is taken wherever this one does not lead to the end.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from posthog_assets.orchestration.project_folder import COMPONENT_FILES, import_defs_package, units
from posthog_assets.orchestration.yaml_lines import lines_of
from posthog_assets.pipeline.config.import_file import Import, refuse_written_secrets
from posthog_assets.pipeline.derived_imports import with_trial

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.nativetypes import NativeEnvironment

#: The names of the component that are ours; one of the user's own may load its attributes in another way.
_OURS: Final = ("posthog_assets.HistoricalImport", "posthog_assets.orchestration.component.HistoricalImport")


class _NeedsDagster(Exception):
    """A file holds what only Dagster understands."""


def read_plain_imports(root: Path) -> dict[str, Import] | None:
    """Return the imports of the project in *root* by name; None where one of its files needs Dagster, or is wrong."""
    try:
        package = import_defs_package(root)
        folder = Path(package.__file__ or "").parent
        found = [
            imp
            for unit in units(folder)
            if unit.is_dir()
            for imp in _read(unit, ".".join([package.__name__, *unit.relative_to(folder).parts]))
        ]
    except Exception:
        # Dagster's way comes to the same failure, and says what is to be done.
        return None
    by_name = {imp.name: imp for imp in found}
    # Which of two files of one name is left out is said on Dagster's way.
    return by_name if len(by_name) == len(found) else None


def _read(folder: Path, module: str) -> list[Import]:
    """Return the import of *folder*, a package called *module*, and its trial."""
    # Dagster imports it, and it may hold the user's own code.
    importlib.import_module(module)
    files = [path for name in COMPONENT_FILES for path in folder.rglob(name)]
    if files != [folder / COMPONENT_FILES[0]]:
        raise _NeedsDagster
    content = _content(files[0])
    if not isinstance(content, dict) or content.keys() != {"type", "attributes"} or content["type"] not in _OURS:
        raise _NeedsDagster
    attributes = content["attributes"]
    refuse_written_secrets(attributes, str(files[0]))
    filled = {name: _filled_in(value) for name, value in attributes.items() if value is not None}
    return with_trial(Import.read(filled, where=str(files[0]), line_of=lines_of(files[0])))


def _content(file: Path) -> Any:
    """Return what Dagster reads in *file*: times stay text."""
    from dagster_shared.yaml_utils import parse_yamls_with_source_position

    (document,) = parse_yamls_with_source_position(file.read_text("utf-8"), str(file))
    return document.value


class _Environment:
    """What Dagster calls `env` in a template (dagster/components/resolved/scopes.py)."""

    def __call__(self, name: str, default: Any = ...) -> Any:
        value = os.environ.get(name, default)
        if value is ...:
            raise _NeedsDagster
        return value

    def __getattr__(self, name: str) -> str | None:
        if name.startswith("jinja"):
            raise AttributeError(name)
        return os.environ.get(name)

    def __getitem__(self, name: str) -> str | None:
        raise _NeedsDagster


def _filled_in(value: Any) -> Any:
    """Return *value* with its `{{ env… }}` replaced as Dagster does, which also reads a text of digits as a number."""
    if isinstance(value, Mapping):
        return {key: _filled_in(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_in(item) for item in value]
    return _rendered(value) if isinstance(value, str) and value else value


@functools.cache
def _jinja() -> NativeEnvironment:
    from jinja2.nativetypes import NativeEnvironment

    return NativeEnvironment()


@functools.lru_cache(1_000)
def _template(text: str) -> Template:
    """Return what renders *text*, which many of a project's files may have; raises _NeedsDagster."""
    from jinja2.meta import find_undeclared_variables

    parsed = _jinja().parse(text)
    if "{" in text and find_undeclared_variables(parsed) - {"env"}:
        raise _NeedsDagster
    return _jinja().from_string(parsed)


def _rendered(text: str) -> Any:
    from jinja2 import Undefined

    value = _template(text).render(env=_Environment())
    if isinstance(value, Undefined):
        raise _NeedsDagster
    return value
