"""Whether a day got cheaper since another revision: both take the same day, in turn, and only ratios are printed.

    python -m posthog_assets_tests.benchmarks.benchmark --against v0.1.0 --shape mixpanel --events 100000 --rounds 5

Belongs here: worktrees of two revisions, the alternation, the table of ratios. Does not belong here: the day's records
(`shapes`), absolute figures (`benchmark`).

What counts is processor time, that of child processes included, since a machine has other work to do as well. Two
revisions meet the same load only if they take turns; so the table shows the median over several rounds. Beside them is
the floor: `orjson.loads` and `orjson.dumps` of every line, which no Python program that reads a record goes below.

A revision that loads a library while it works would pay for it in that step, and one that loads it beforehand would
not. So each process takes a few records of another day through all steps first, and measures then.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson

_PROJECT: Final = Path(__file__).parents[2]

#: Of each step, the modules that have had it, the newest first.
_STEPS: Final = {
    "raw_export": ("export_day", ("posthog_assets.pipeline.export", "posthog_assets.steps")),
    "staged_events": ("stage_day", ("posthog_assets.pipeline.stage", "posthog_assets.steps")),
    "posthog_events": ("transform_day", ("posthog_assets.pipeline.transform", "posthog_assets.steps")),
    "imported_batches": ("deliver_day", ("posthog_assets.pipeline.deliver", "posthog_assets.steps")),
}
_IMPORTS: Final = ("posthog_assets.pipeline.config.import_file", "posthog_assets.import_file")

#: Records of the day before, which each process takes through all steps before it measures.
_WARM_UP: Final = 500

#: Processor time a step of a day, in µs an event.
Costs = dict[str, float]


def against(revision: str, shape: str, events: int, rounds: int, day: Path, url: str, dialect: dict[str, Any]) -> None:
    """Take the records in *day* (`<date>.jsonl.gz`) through this tree and through *revision*, and print the ratios.

    Uncommitted changes count as part of this tree. *url* is a server that acknowledges everything.
    """
    _write_day_before(day)
    floors: list[float] = []
    old: list[Costs] = []
    new: list[Costs] = []
    with _worktree(revision) as before:
        for number in range(rounds):
            # Whoever goes second finds warm caches: so they take turns at that as well.
            for tree, costs in ((before, old), (_PROJECT, new)) if number % 2 else ((_PROJECT, new), (before, old)):
                costs.append(_measured(tree, day, url, dialect, events))
            floors.append(_floor(day))
    _show(revision, shape, events, floors, old, new)


def _write_day_before(day: Path) -> None:
    with gzip.open(day) as file, gzip.open(_day_before(day), "wb") as few:
        few.writelines(islice(file, _WARM_UP))


def _day_before(day: Path) -> Path:
    return day.with_name(f"{date.fromisoformat(day.name.split('.')[0]) - timedelta(days=1)}.jsonl.gz")


@contextmanager
def _worktree(revision: str) -> Iterator[Path]:
    """Check *revision* out beside this tree while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="posthog-assets-against-"))
    git = ["git", "-C", str(_PROJECT), "worktree"]
    try:
        subprocess.run([*git, "add", "--detach", "--quiet", str(folder / "tree"), revision], check=True)
        yield folder / "tree"
    finally:
        subprocess.run([*git, "remove", "--force", str(folder / "tree")], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _measured(tree: Path, day: Path, url: str, dialect: dict[str, Any], events: int) -> Costs:
    """Run the steps in a process of their own, with the package as *tree* has it."""
    with tempfile.TemporaryDirectory() as storage:
        section = {
            "name": "bench",
            "start_date": _day_before(day).name.split(".")[0],
            "storage": storage,
            "source": {"type": "files", "path": str(day.parent / "{day}.jsonl.gz")},
            "dialect": dialect,
            "destination": {"host": url, "project_api_key": "phc_bench"},
        }
        run = subprocess.run(
            [sys.executable, "-P", __file__, json.dumps(section)],
            env=os.environ | {"PYTHONPATH": str(tree)}, cwd=tree, stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
    answer = json.loads(run.stdout)
    if not Path(answer["package"]).is_relative_to(tree):
        raise RuntimeError(f"{answer['package']} was measured instead of {tree}")
    if answer["acknowledged"] < events:
        raise RuntimeError(f"{tree}: {answer['acknowledged']:,} of {events:,} events were acknowledged")
    costs: Costs = {name: seconds / events * 1e6 for name, seconds in answer["seconds"].items()}
    return costs | {"whole way": sum(costs.values()), "peak MB": answer["peak"]}


def _floor(day: Path) -> float:
    """Return the processor time of parsing a line and writing it again, in µs."""
    with gzip.open(day) as file:
        lines = file.readlines()
    loads, dumps = orjson.loads, orjson.dumps
    began = time.process_time()
    for line in lines:
        dumps(loads(line))
    return (time.process_time() - began) / len(lines) * 1e6


def _show(revision: str, shape: str, events: int, floors: list[float], old: list[Costs], new: list[Costs]) -> None:
    floor = median(floors)
    print(f"{shape}: {events:,} events, {len(old)} rounds in turn; processor time, children included")
    print(f"{'':18} {revision[:12]:>12} {'this tree':>12} {'times as fast':>14} {'of the floor':>13}")
    for name in (*_STEPS, "whole way"):
        before, after = [costs[name] for costs in old], [costs[name] for costs in new]
        ratio = median(b / a for b, a in zip(before, after, strict=True))
        print(f"{name:18} {median(before):>12.2f} {median(after):>12.2f} {ratio:>14.2f} {median(after) / floor:>13.2f}")
    peaks = [median(costs["peak MB"] for costs in each) for each in (old, new)]
    print(f"{'floor':18} {'':12} {floor:>12.2f}")
    print(f"{'peak MB':18} {peaks[0]:>12.0f} {peaks[1]:>12.0f}")


# --- in the process of one revision -------------------------------------------------------------------------------


def _first_module(names: tuple[str, ...]) -> Any:
    import importlib

    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(f"none of {', '.join(names)}")


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _run(section: dict[str, Any]) -> None:
    modules = {name: _first_module(places) for name, (_, places) in _STEPS.items()}
    imports = _first_module(_IMPORTS)
    imp, first = imports.Import.read(section), date.fromisoformat(section["start_date"])
    seconds: dict[str, float] = {}
    report: Any = None
    for day in (first, first + timedelta(days=1)):
        for name, (function, _) in _STEPS.items():
            began = _cpu()
            report = getattr(modules[name], function)(imp, day)
            seconds[name] = _cpu() - began
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    answer = {"seconds": seconds, "acknowledged": report.acknowledged, "peak": peak, "package": imports.__file__}
    print(json.dumps(answer))


if __name__ == "__main__":
    _run(json.loads(sys.argv[1]))
