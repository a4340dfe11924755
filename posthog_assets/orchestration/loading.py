"""Loading a folder of imports so that a broken import file stops only its own import.

Belongs here: what is loaded apart from what, and what stands in for an import that cannot be loaded. Does not belong
here: what an import is (`component`).
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

import dagster as dg
from pydantic import ValidationError

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.markup import code_block
from posthog_assets.core.secrets import without_credentials
from posthog_assets.core.sections import explain as sentences
from posthog_assets.orchestration.project_folder import OWN, units

#: What stands in a file after the name of a credential must not reach the UI.
_SECRET: Final = re.compile(
    r"((?:key|secret|password|token|credential|webhook)\w*[\"']?\s*[:=]\s*)(?!\{\{)\S+", re.IGNORECASE
)

#: Dagster draws its tree of files into its messages; the sentence that matters is a cause further down.
_DRAWING: Final = re.compile(r"^[\s│├└─^]*$|[├└│]")

#: Set by `dg check defs` (dagster/_cli/definitions.py), whose exit code says whether all can be loaded.
_VALIDATING: Final = "DAGSTER_IS_DEFS_VALIDATION_CLI"

#: What Dagster and its reader of YAML raise, and what it means to somebody who wrote the file.
_OF_DAGSTER: Final = (
    ("ScannerError", "defs.yaml is no valid YAML"),
    ("ParserError", "defs.yaml is no valid YAML"),
    ("No components found", "defs.yaml is empty (posthog-assets init writes one)"),
    ("DagsterUnresolvableSymbolError", "its `type` is not found; that of an import is posthog_assets.HistoricalImport"),
)

logger = logging.getLogger("posthog_assets")


def load_imports(path_within_project: Path) -> dg.Definitions:
    """Return what `dg.load_from_defs_folder` does; a folder that cannot be loaded becomes an asset that says why.

    That asset is in the group `broken_imports`. It fails when it is materialized, with the same words that are in its
    description and in the log.

    Raises:
        ImportFileError: a folder cannot be loaded, and `dg check defs` asks, which is to fail then.
    """
    try:
        loaded = dg.load_from_defs_folder(path_within_project=path_within_project)
        if not _twice(loaded):
            return loaded
    except Exception:
        pass
    with warnings.catch_warnings():
        # Dagster keeps these to itself where it loads a whole project.
        for category in (dg.BetaWarning, dg.PreviewWarning, dg.SupersessionWarning):
            warnings.simplefilter("ignore", category)
        return _one_by_one(_tree(path_within_project))


def _one_by_one(tree: dg.ComponentTree) -> dg.Definitions:
    """Load each import for itself."""
    good: list[dg.Definitions] = []
    failures: list[str] = []
    taken: dict[dg.AssetKey, Path] = {}
    for path in units(tree.defs_module_path):
        try:
            loaded = _load(tree, path)
            for key in _keys(loaded):
                if key in taken:
                    other = taken[key].relative_to(tree.defs_module_path)
                    raise ImportFileError(
                        f"the asset {key.to_user_string()} is defined by {other} already; choose another name"
                    )
        except Exception as error:
            broken = _Broken(path.relative_to(tree.defs_module_path), explain(error))
            logger.warning("%s", broken.words)
            failures.append(f"{broken.place}: {broken.why}")
            good.append(dg.Definitions(assets=[broken.asset()]))
        else:
            good.append(loaded)
            taken |= dict.fromkeys(_keys(loaded), path)
    if failures and os.environ.get(_VALIDATING):
        raise ImportFileError(f"Imports that cannot be loaded: {len(failures)}\n" + "\n".join(failures))
    return dg.Definitions.merge(*good)


C = TypeVar("C", bound=dg.Component)


def components(
    path_within_project: Path, of_type: type[C], named: Callable[[C], str] = lambda component: str(id(component))
) -> tuple[list[C], dict[str, str]]:
    """Return the components of a project, and for each folder that cannot be loaded, why.

    Of two that have the same name, as *named* says it, the second one is not loaded.
    """
    tree = _tree(path_within_project)
    found: list[C] = []
    places: dict[str, str] = {}
    broken: dict[str, str] = {}
    for path in units(tree.defs_module_path):
        place = str(path.relative_to(tree.defs_module_path))
        try:
            some = _alone(tree, path).get_all_components(of_type=of_type) if path.is_dir() else []
        except Exception as error:
            broken[place] = explain(error)
            continue
        for component in some:
            name = named(component)
            if name in places:
                broken[place] = f"the import {name} is defined by {places[name]} already; choose another name"
            else:
                found.append(component)
                places[name] = place
    return found, broken


def _tree(path_within_project: Path) -> dg.ComponentTree:
    """Return the project's tree; the package's own has no project file where it is installed."""
    if path_within_project.resolve() == OWN:
        return dg.ComponentTree.from_module(importlib.import_module("posthog_assets.defs"), OWN.parent)
    return dg.ComponentTree.for_project(path_within_project)


def _load(tree: dg.ComponentTree, path: Path) -> dg.Definitions:
    if path.is_file():
        return _load_python(_module(tree, path))
    alone = _alone(tree, path)
    return alone.build_defs_at_path(alone.defs_module_path)


def _alone(tree: dg.ComponentTree, path: Path) -> dg.ComponentTree:
    """Return a tree of the folder *path* and nothing else."""
    return dg.ComponentTree.from_module(_module(tree, path), tree.project_root)


def _module(tree: dg.ComponentTree, path: Path) -> ModuleType:
    inside = path.relative_to(tree.defs_module_path).with_suffix("").parts
    return importlib.import_module(".".join([tree.defs_module_name, *inside]))


def _load_python(module: ModuleType) -> dg.Definitions:
    made = [value for value in vars(module).values() if isinstance(value, dg.Definitions)]
    if made:
        return dg.Definitions.merge(*made)
    return dg.load_definitions_from_module(module)


def _keys(loaded: dg.Definitions) -> list[dg.AssetKey]:
    return [key for asset in loaded.assets or [] if isinstance(asset, dg.AssetsDefinition) for key in asset.keys]


def _twice(loaded: dg.Definitions) -> bool:
    """Whether two imports have the same name; Dagster would refuse all of them, without saying which files."""
    return any(count > 1 for count in Counter(_keys(loaded)).values())


@dataclass(frozen=True)
class _Broken:
    """An import that cannot be loaded: its folder below `defs/`, and why."""

    place: Path
    why: str

    @property
    def words(self) -> str:
        return f"{self.place} is not loaded, the other imports are: {self.why}"

    def asset(self) -> dg.AssetsDefinition:
        name = re.sub(r"\W", "_", self.place.with_suffix("").as_posix())
        words = self.words
        # Whatever it holds is shown as it is.
        shown = code_block(words)

        @dg.asset(
            key=["broken_imports", name],
            group_name="broken_imports",
            description=f"**This import cannot be loaded.** Correct it, then reload the code location.\n\n{shown}",
            tags={"posthog_assets/broken": ""},
        )
        def broken() -> None:
            raise dg.Failure(words, allow_retries=False)

        return broken


def explain(error: BaseException) -> str:
    """Return why loading failed: our own sentence where there is one, else the innermost cause, without secrets."""
    chain = [cause for cause in _causes(error) if str(cause).strip()] or [error]
    for cause in chain:
        if isinstance(cause, ImportFileError):
            return str(cause)
        if isinstance(cause, ValidationError):
            return "defs.yaml is wrong:\n" + "\n".join(f"  - {sentence}" for sentence in sentences(cause))
    lines = [line for line in str(chain[-1]).splitlines() if not _DRAWING.search(line)]
    words = "\n".join(lines).strip() or type(chain[-1]).__name__
    begin = next((begin for kind, begin in _OF_DAGSTER if kind in f"{type(chain[-1]).__name__}: {words}"), None)
    return without_credentials(_SECRET.sub(r"\1***", f"{begin or type(chain[-1]).__name__}: {words}"))[:4000]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
