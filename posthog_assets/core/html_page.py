"""Pages of HTML that need nothing but themselves: how they look, and what renders them.

Belongs here: the style that all pages share, and the environment of their templates. Does not belong here: a page; its
template stands beside the module that fills it.

Names and values on a page are text of whoever sent the events: every template escapes them, and `visible` spells out
characters that hide or reorder others.
"""

from __future__ import annotations

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from posthog_assets.core.markup import visible

#: Nothing is loaded, and no script runs.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_STYLE: Final = """\
:root { --ink: #1d1f27; --soft: #5f6673; --line: #dfe2e8; --page: #fff; --card: #f7f8fa; --accent: #1d4aff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaf0; --soft: #a3a9b7; --line: #363b47; --page: #16181d; --card: #1f222a; --accent: #8fa8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); } a { color: var(--accent); }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; margin-top: 1rem; }
.totals div { background: var(--card); border-radius: 8px; padding: .6rem .8rem; }
.totals strong { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1rem; margin: .5rem 0; padding: 0; list-style: none; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin-right: .35rem;
  vertical-align: -.05rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
"""


def environment(package: str) -> Environment:
    """Return the environment of the templates in *package*: it escapes, refuses undefined names, and has the style."""
    found = Environment(loader=PackageLoader(package, "."), autoescape=True, undefined=StrictUndefined)
    found.filters["visible"] = visible
    found.filters["slug"] = lambda text: text.replace(" ", "-").lower()
    found.globals["style"] = Markup(_STYLE)
    found.globals["policy"] = POLICY
    return found
