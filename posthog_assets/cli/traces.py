"""The command `posthog-assets traces`.

Belongs here: what it prints. Does not belong here: which traces there are (`pipeline.traces`).
"""

from __future__ import annotations

from pathlib import Path

from posthog_assets.cli.terminal import open_console
from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.markup import as_shown
from posthog_assets.orchestration.find_imports import find_import
from posthog_assets.pipeline.traces import leave_traces


def run_traces(name: str, project: Path | None) -> int:
    """Leave the traces of an import, and print each; returns the exit code."""
    imp, console = find_import(name, project), open_console()
    if not (imp.traces and imp.traces.wanted):
        raise ImportFileError(f"{name} asks for no traces: the section traces of its import file says which to leave")
    for trace in leave_traces(imp):
        console.print(f"{trace.kind}: {as_shown(trace.name)}: {trace.outcome}", soft_wrap=True)
    return 0
