"""Finding the folder of the Dagster project that a command is about, and making one where there is none.

Belongs here: `pyproject.toml`, `dg.toml`, the folder of the imports. Does not belong here: loading what is in it
(`local.project`).
"""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from posthog_assets.core.errors import ImportFileError

#: The package itself: the project of the demo, with a `pyproject.toml` above it only in a clone of the repository.
OWN: Final = Path(__file__).resolve().parents[2]

_CONFIGS: Final = ("dg.toml", "pyproject.toml")

#: The names that Dagster gives the file of a component, the one it looks for first in front.
COMPONENT_FILES: Final = ("defs.yaml", "defs.yml", "component.yaml")

_PYPROJECT: Final = """\
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{module}"
defs_module = "{module}.defs"
code_location_target_module = "{module}.definitions"
code_location_name = "{module}"

[tool.dagster]
module_name = "{module}.definitions"
code_location_name = "{module}"
"""
_DG: Final = """\
directory_type = "project"

[project]
root_module = "{module}"
defs_module = "{module}.defs"
code_location_target_module = "{module}.definitions"
code_location_name = "{module}"
"""
_DEFINITIONS: Final = '''\
"""The code location: every import file below `defs/`."""

from pathlib import Path

import dagster as dg

from posthog_assets.loading import load_imports


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of all imports; steps run in the run's own process, since a day is a chain."""
    loaded = load_imports(Path(__file__).parent)
    return dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor))
'''


def find_project(given: Path | None = None) -> Path:
    """Return the folder of the Dagster project that holds *given*, or else the current folder, or else the demo's.

    The project's own package can be imported afterwards, whether it is installed or not.

    Raises:
        ImportFileError: *given* is in no Dagster project.
    """
    found = _upward((given or Path.cwd()).resolve())
    if found is None and given is not None:
        raise ImportFileError(
            f"{given} is in no Dagster project: no folder from there upward has a dg.toml, or a pyproject.toml with "
            "[tool.dg.project]; `posthog-assets init` makes one"
        )
    root = found or OWN
    for folder in (root, root / "src"):
        if folder.is_dir() and str(folder) not in sys.path and folder != OWN:
            # At the end: a file of the project must not take the place of a library's.
            sys.path.append(str(folder))
    return root


def defs_folder(given: Path | None = None) -> Path | None:
    """Return the folder that holds the imports of the project at *given*, else at the current folder; None: no project.

    Raises:
        ImportFileError: the project's file says no such folder.
    """
    root = _upward((given or Path.cwd()).resolve())
    if root is None:
        return None
    module = _defs_module(root)
    for base in (root, root / "src"):
        folder = base.joinpath(*module.split("."))
        if folder.is_dir() or folder.parent.is_dir():
            return folder
    raise ImportFileError(f"{root}: there is no folder for the module {module} that its project file names")


def import_folders(given: Path | None = None) -> list[str]:
    """Return the names of the folders with an import file, without loading anything."""
    folder = defs_folder(given) or OWN / "posthog_assets" / "defs"
    return sorted({path.parent.name for path in folder.glob("**/defs.yaml")})


def units(folder: Path) -> Iterator[Path]:
    """Yield what can be loaded apart: folders with a component's file, and Python files that are not inside one."""
    if any((folder / name).exists() for name in COMPONENT_FILES):
        yield folder
        return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__pycache__")):
            continue
        if entry.is_dir():
            yield from units(entry)
        elif entry.suffix == ".py" and entry.name != "__init__.py":
            yield entry


def import_defs_package(root: Path) -> ModuleType:
    """Import the package with the imports of the project in *root*, which `find_project` found; it runs user code."""
    return importlib.import_module("posthog_assets.defs" if root.resolve() == OWN else _defs_module(root))


def make_project(root: Path) -> Path:
    """Make a Dagster project in *root* and return the folder of its imports; no file that is there is changed.

    Raises:
        ImportFileError: a file that the project needs is there already and is something else.
    """
    module = _module_name(root)
    package = root / module
    if (package / "definitions.py").exists():
        raise ImportFileError(f"{package} exists already and is in no Dagster project; run this in another folder")
    (package / "defs").mkdir(parents=True, exist_ok=True)
    for folder in (package, package / "defs"):
        (folder / "__init__.py").touch()
    (package / "definitions.py").write_text(_DEFINITIONS, "utf-8")
    if (root / "pyproject.toml").exists():
        (root / "dg.toml").write_text(_DG.format(module=module), "utf-8")
    else:
        (root / "pyproject.toml").write_text(_PYPROJECT.format(module=module), "utf-8")
    return package / "defs"


def _module_name(root: Path) -> str:
    """Return a module's name made of the folder's, that no library has."""
    name = re.sub(r"\W+", "_", root.name.lower()).strip("_") or "project"
    return f"{name if name[0].isalpha() else f'p_{name}'}_imports"


def _upward(start: Path) -> Path | None:
    return next((folder for folder in (start, *start.parents) if _config(folder)), None)


def _config(folder: Path) -> dict[str, Any]:
    """Return what the project file of *folder* says of the project; nothing where it is none."""
    for name in _CONFIGS:
        path = folder / name
        if not path.is_file():
            continue
        try:
            content = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ImportFileError(f"{path} cannot be read: {error}") from None
        found = content if name == "dg.toml" else content.get("tool", {}).get("dg", {})
        if isinstance(project := found.get("project"), dict):
            return project
    return {}


def _defs_module(root: Path) -> str:
    config = _config(root)
    module = config.get("defs_module") or f"{config.get('root_module', '')}.defs"
    return str(module).lstrip(".")
