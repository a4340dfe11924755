"""Charts of the report, as SVG that stands inside the page.

Belongs here: drawing with matplotlib. Does not belong here: any number (`day_numbers`), the page around them (`page`).
"""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from datetime import date
from importlib.util import find_spec
from typing import Any, Final

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.markup import visible

#: Names that get a colour of their own; the others are one colour together.
_MOST: Final = 8

#: Colours that people with any colour vision tell apart: Okabe and Ito, https://jfly.uni-koeln.de/color/
_COLORS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F")


def check_library() -> None:
    """Raise ImportFileError where the library that draws is not installed."""
    if find_spec("matplotlib") is None:
        raise ImportFileError(
            "a report is drawn with matplotlib, which is not installed: pip install 'posthog_assets[report]', or in a "
            "clone: uv run --extra report posthog-assets report …"
        )


def stacked(days: Sequence[date], counts: Sequence[Counter[str]], title: str) -> str:
    """Return a bar for each day, cut by name; `counts` has one counter a day. Empty where there is nothing to draw."""
    totals: Counter[str] = Counter()
    for counter in counts:
        totals += counter
    if not totals:
        return ""
    names = [name for name, _ in totals.most_common(_MOST)]
    rows = {name: [counter[name] for counter in counts] for name in names}
    if len(totals) > _MOST:
        rows["all others"] = [counter.total() - sum(counter[name] for name in names) for counter in counts]
    figure, axes = _figure(title)
    bottom = [0] * len(days)
    for number, (name, values) in enumerate(rows.items()):
        # Names are data: matplotlib would read $ as mathematics, and leave out a label that begins with _.
        label = visible(name)[:40].replace("$", r"\$").lstrip("_") or "(no name)"
        axes.bar(days, values, bottom=bottom, width=0.9, color=_COLORS[number % len(_COLORS)], label=label)
        bottom = [low + value for low, value in zip(bottom, values, strict=True)]
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small", frameon=False)
    return _svg(figure)


def compared(days: Sequence[date], series: dict[str, Sequence[int | None]], title: str) -> str:
    """Return one line for each of *series*, a value a day; None leaves a gap. Empty where there is nothing to draw."""
    if not any(value is not None for values in series.values() for value in values):
        return ""
    figure, axes = _figure(title)
    for (name, values), color, marker in zip(series.items(), _COLORS, "os^v", strict=False):
        known = [float("nan") if value is None else value for value in values]
        axes.plot(days, known, color=color, marker=marker, markersize=4, linewidth=1.5, label=name)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small", frameon=False)
    return _svg(figure)


def _figure(title: str) -> tuple[Any, Any]:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    return figure, axes


def _svg(figure: Any) -> str:
    """Return *figure* as SVG without a prologue; the same numbers give the same bytes."""
    import matplotlib as mpl

    sink = io.StringIO()
    # A fixed salt makes ids that are equal each time; text stays text, so that it is small and can be searched.
    settings = {"svg.hashsalt": "posthog_assets", "svg.fonttype": "none", "font.family": "sans-serif"}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The browser has the letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = sink.getvalue()
    return text[text.index("<svg") :]
