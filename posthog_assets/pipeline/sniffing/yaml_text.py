"""Writing an import file that a person can read and correct.

Belongs here: the text of the file, with its comments. Does not belong here: what is in it (`draft`, `templates`).
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from posthog_assets.dialects import DIALECTS
from posthog_assets.pipeline.sniffing.draft import Draft
from posthog_assets.pipeline.sniffing.evidence import Certainty, Finding

COMPONENT: Final = "posthog_assets.HistoricalImport"
_WIDTH: Final = 118

#: Text that YAML reads as nothing else without quotes.
_PLAIN: Final = re.compile(r"[A-Za-z_/$][A-Za-z0-9_./$ -]*[A-Za-z0-9_/$]|[A-Za-z_]")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})

REST: Final = """\
  # What the records are to be in PostHog; everything is optional:
  # mapping:
  #   events: {"old name": "new name", "noise": null}     # null leaves it out, counted
  #   properties: {rename: {old: new}, drop: [secret], add: {origin: my_export}}
  #   person_properties: set_once                         # set | set_once | none
  destination:
    # Set these variables before sending; everything up to that works without them.
    host: "{{ env.POSTHOG_HOST }}"                        # https://eu.i.posthog.com, https://us.i.posthog.com, your own
    project_api_key: "{{ env.POSTHOG_PROJECT_API_KEY }}"  # phc_…, of the project that gets the events
    # With these two, what PostHog has is compared with what was sent:
    personal_api_key: "{{ env.POSTHOG_PERSONAL_API_KEY }}"  # phx_…, scope query:read
    project_id: "{{ env.POSTHOG_PROJECT_ID }}"
"""


#: In the place of the first line of `mapping`, where the source knows sessions. They are off in a file that does not
#: name them, so that what it has imported stays as it is.
_SESSIONS: Final = """\
  mapping:
    sessions: auto      # the source's own sessions become PostHog's $session_id, which web analytics counts by
"""


def _rest(dialect: str | None) -> str:
    """Return what follows the section `dialect`, which is of this type."""
    known = DIALECTS.get(dialect or "")
    return REST.replace("  # mapping:\n", _SESSIONS) if known is not None and known.session else REST


def draft_text(draft: Draft, schema: str | None = None) -> str:
    """Return the import file of a draft, with its evidence as comments; *schema* is where the JSON Schema is."""
    lines = [*_head(schema), "attributes:"]
    attributes = dict(draft.attributes)
    source, dialect = attributes.pop("source"), attributes.pop("dialect")
    for name, value in attributes.items():
        lines.append(f"  {name}: {scalar(value)}")
    if "end_date" not in attributes:
        lines.append("  # UNSURE: not all records were looked at. Without end_date every day up to today is offered.")
        lines.append(f'  # end_date: "{draft.last_day or "2024-12-31"}"')
    for section, content in (("source", source), ("dialect", dialect)):
        lines.append(f"  {section}:")
        lines += _section(section, content, draft.findings)
    return "\n".join(lines) + "\n" + _rest(dialect.get("type"))


def template_text(name: str, sections: str, schema: str | None = None) -> str:
    """Return the import file that a template's sections make."""
    lines = [
        *_head(schema),
        "attributes:",
        f"  name: {scalar(name)}",
        "  # First and last day of the history; without end_date every day up to today is offered.",
        '  start_date: "2024-01-01"',
        '  # end_date: "2024-12-31"',
        textwrap.indent(sections.rstrip("\n"), "  "),
    ]
    dialect = yaml.safe_load(sections).get("dialect") or {}
    return "\n".join(lines) + "\n" + _rest(dialect.get("type"))


def _head(schema: str | None) -> Iterator[str]:
    if schema:
        yield f"# yaml-language-server: $schema={schema}"
    yield "# Written by `posthog-assets init`. Look at what is marked UNSURE, then at `posthog-assets preview`."
    yield f"type: {COMPONENT}"


def _section(path: str, content: Mapping[str, Any], findings: list[Finding]) -> Iterator[str]:
    for name, value in content.items():
        yield from _comments(f"{path}.{name}", findings)
        if isinstance(value, dict):
            for inner in value:
                yield from _comments(f"{path}.{name}.{inner}", findings)
            yield f"    {name}: {flow(value)}"
        else:
            yield f"    {name}: {scalar(value)}"
    for found in findings:
        # What was looked for and is not there.
        if found.setting.rpartition(".")[0] == path and found.value is None:
            yield from _words(found)


def _comments(setting: str, findings: list[Finding]) -> Iterator[str]:
    for found in findings:
        if found.setting == setting and found.value is not None:
            yield from _words(found)


def _words(found: Finding) -> Iterator[str]:
    name = found.setting.split(".", 1)[1]
    mark = "UNSURE: " if found.certainty is Certainty.UNSURE else ""
    text = f"{mark}{name}: {_one_line(found.evidence)}"
    yield from textwrap.wrap(text, _WIDTH, initial_indent="    # ", subsequent_indent="    # ")


def _one_line(text: str) -> str:
    """Return *text* without line ends and what YAML takes for none in a comment."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def scalar(value: Any) -> str:
    """Return *value* as YAML on one line."""
    if isinstance(value, dict | list | tuple):
        return flow(value)
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    """Return *text* in double quotes; YAML takes control characters only escaped."""

    def escaped(letter: str) -> str:
        if letter.isprintable():
            return letter
        return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"

    return "".join(map(escaped, json.dumps(text, ensure_ascii=False)))


def flow(value: Any) -> str:
    """Return *value* in YAML's flow style, `{column: user}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(name)}: {flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    # In flow style a comma or a bracket ends a value.
    return scalar(value)
