"""The plot of a big day: memory over time, step by step, as SVG.

Belongs here: drawing. Does not belong here: measuring (`volume`).
"""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 960
_HEIGHT: Final = 360
_LEFT: Final = 70
_BOTTOM: Final = 50
_TOP: Final = 40
_COLOURS: Final = ("#6a5cff", "#1d9a6c", "#d9822b", "#c23b5a", "#3b82c2", "#7a7a7a")

Samples = list[tuple[float, int]]


def draw(events: int, steps: list[tuple[str, Samples]]) -> str:
    """Return the plot; a sample is (seconds since the start, bytes of memory)."""
    samples = [sample for _, some in steps for sample in some]
    end = max((at for at, _ in samples), default=1.0) or 1.0
    top = _round_up(max((memory for _, memory in samples), default=1) / 1e6)

    def x(seconds: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - 20) * seconds / end, 1)

    def y(megabytes: float) -> float:
        return round(_HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * megabytes / top, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">Memory of one process taking {events:,} events of one day through '
        "all steps (MB over seconds)</text>",
    ]
    for part in range(5):
        level = top * part / 4
        parts.append(
            f'<path d="M{_LEFT} {y(level)}H{_WIDTH - 20}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 8}" y="{y(level) + 4}" text-anchor="end">{level:,.0f}</text>'
            f'<text x="{x(end * part / 4)}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
            f"{end * part / 4:,.0f}</text>"
        )
    for number, (name, some) in enumerate(steps):
        if not some:
            continue
        colour = _COLOURS[number % len(_COLOURS)]
        line = " ".join(f"{x(at)},{y(memory / 1e6)}" for at, memory in _thinned(some))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        left = _LEFT + number * (_WIDTH - _LEFT - 20) / len(steps)
        parts.append(
            f'<rect x="{left:.0f}" y="{_HEIGHT - 22}" width="10" height="10" fill="{colour}"/>'
            f'<text x="{left + 14:.0f}" y="{_HEIGHT - 13}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _thinned(samples: Samples, most: int = 400) -> list[tuple[float, int]]:
    """Return at most *most* points, each the largest memory of its stretch: no peak is left out."""
    width = -(-len(samples) // most)
    stretches = [samples[start : start + width] for start in range(0, len(samples), width)]
    return [(stretch[-1][0], max(memory for _, memory in stretch)) for stretch in stretches]


def _round_up(value: float) -> float:
    unit = 10 ** max(0, len(str(int(value))) - 1)
    return -(-value // unit) * unit
