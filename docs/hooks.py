"""The pages of the reference, made from the code, and the navigation, made from the folders.

Belongs here: what mkdocs calls while it builds the site. Does not belong here: text a person writes (`pages`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from posthog_assets.core import errors, schemas
from posthog_assets.dialects import DIALECTS
from posthog_assets.dialects.base import Dialect
from posthog_assets.dialects.field_table import as_markdown, fields_not_imported, mapping_table
from posthog_assets.dialects.vendor import Vendor
from posthog_assets.pipeline.config.json_schema import file_schema

PAGES: Final = Path(__file__).parent / "pages"

#: Folders of pages, in the order of the navigation.
SECTIONS: Final = {
    "Guides": "guides",
    "Sources": "sources",
    "Dialects": "dialects",
    "Concepts": "concepts",
    "Operations": "operations",
    "Reference": "reference",
}

#: Pages that come first in their folder, in the order in which a reader needs them; the others follow by name.
FIRST: Final = {
    "guides": (
        "init", "before-sending", "backfill", "re-import", "report", "automation", "steps", "changed-events",
        "sessions", "history-facts", "cut-over", "source-counts", "traces", "undo",
    ),
    "sources": ("files", "amplitude", "mixpanel", "posthog", "sql", "rest", "dlt"),
    "dialects": ("index", "columns", "several-events", "editions"),
    "concepts": ("data", "delivery", "uuids", "verification", "times", "values", "limits"),
    "operations": ("index",),
    "reference": ("import-file", "commands"),
}  # fmt: skip


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List every page: those at the top first, then folder by folder, those of `FIRST` before the others."""
    nav: list[Any] = ["index.md", "get-started.md"]
    for title, folder in SECTIONS.items():
        found = {path.relative_to(PAGES).as_posix() for path in (PAGES / folder).glob("*.md")}
        found |= {name for name in GENERATED if name.startswith(f"{folder}/")}
        first = [f"{folder}/{name}.md" for name in FIRST[folder]]
        if missing := set(first) - found:
            raise LookupError(f"hooks.FIRST names pages that are not there: {', '.join(sorted(missing))}")
        nav.append({title: [*first, *sorted(found - set(first))]})
    rest = {path.name for path in PAGES.glob("*.md")} - {"index.md", "get-started.md"}
    config.nav = [*nav, *sorted(rest)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    for name, make in GENERATED.items():
        files.append(File.generated(config, name, content=make()))
    return files


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


# --- the import file ----------------------------------------------------------------------------------------


def _import_file() -> str:
    schema = file_schema()
    sections = schema["$defs"]
    attributes = schema["properties"]["attributes"]
    parts = [
        "# The import file\n\nEvery field of a `defs.yaml`, made from the model that validates it. "
        "`posthog-assets schema` prints the same as JSON Schema, for editors. "
        "Any value may be an expression such as `{{ env.POSTHOG_HOST }}`.\n\n## attributes\n",
        _fields(attributes, sections),
    ]
    steps = sections["Mapping"]["properties"]["steps"]["else"]["items"]
    for kind, field in (*((name, attributes["properties"][name]) for name in ("source", "dialect")), ("step", steps)):
        chosen = {f"{kind}: {name}": _chosen(section, name, sections) for name, section in _choices(field).items()}
        parts += _sections(chosen, sections)
    return "\n".join([*parts, *_sections(dict(sorted(sections.items())), sections)])


def _sections(found: dict[str, Any], sections: dict[str, Any]) -> Iterator[str]:
    for title, given in found.items():
        section = _resolved(given, sections)
        if section.get("properties"):
            yield f"## {title}\n\n{_text(section)}\n\n{_fields(section, sections)}"


def _choices(field: dict[str, Any]) -> dict[str, Any]:
    """Return the sections that a field's `type` or `step` chooses from, by that."""
    choices = field.get("else", field).get("allOf", ())
    return {next(iter(one["if"]["properties"].values()))["const"]: one["then"] for one in choices}


def _chosen(section: dict[str, Any], name: str, sections: dict[str, Any]) -> dict[str, Any]:
    """Return the section that is chosen by *name*, which is then the only value of its `type` or `step`."""
    found = _resolved(section, sections)
    fields = {
        field: kind | {"const": name} if field in ("type", "step") else kind
        for field, kind in found.get("properties", {}).items()
    }
    return found | {"properties": fields}


def _resolved(section: dict[str, Any], sections: dict[str, Any]) -> dict[str, Any]:
    """Return what *section* refers to; of one that may be a plain value, too, the section."""
    if "$ref" in section:
        return _resolved(sections[section["$ref"].rpartition("/")[2]], sections)
    for branch in ("then", "else"):
        if "properties" not in section and branch in section:
            found = _resolved(section[branch], sections)
            if found.get("properties"):
                return found
    return section


def _text(section: dict[str, Any]) -> str:
    return inspect.cleandoc(section.get("description", ""))


def _fields(section: dict[str, Any], sections: dict[str, Any]) -> str:
    required = set(section.get("required", ()))
    rows = (
        [
            f"`{name}`",
            _kind(field, sections),
            "required" if name in required else _default(field),
            field.get("description", ""),
        ]
        for name, field in section["properties"].items()
    )
    return _table(["field", "type", "default", "meaning"], rows)


def _kind(field: dict[str, Any], sections: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        if "enum" in sections[name]:
            return _kind(sections[name], sections)
        return f"[{name}](#{name.lower()})"
    if choices := _choices(field):
        return f"section, by its `{'step' if 'rename' in choices else 'type'}`"
    if "else" in field:
        # Text, which may be an expression, or what the field is.
        return _kind(field["else"], sections)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in field:
            kinds = dict.fromkeys(_kind(item, sections) for item in field[key] if item.get("type") != "null")
            # Text stands for an expression in every field; where it is nothing more it need not be said.
            return " or ".join(kind for kind in kinds if kind != "string" or len(kinds) == 1)
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {}), sections)}"
    return field.get("format") or field.get("type") or "any"


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    return "" if value in (None, {}, []) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


# --- dialects, Parquet, errors ------------------------------------------------------------------------------


def _dialects() -> str:
    parts = [
        "# Fields of the dialects\n\nWhat each dialect makes of each field of a record, made from the dialect itself. "
        "`posthog-assets dialects NAME` prints one of them.\n"
    ]
    for name, dialect in DIALECTS.items():
        parts.append(f"## {name}\n\n{as_markdown(mapping_table(dialect))}\n")
    return "\n".join(parts)


def _dialect_page(name: str, dialect: type[Dialect]) -> str:
    """Return the page of one dialect: what it leaves out first, since that is what is missed."""
    parts = [
        f"# {name}\n\n{inspect.getdoc(dialect)}\n\nWhich records it suits, and its settings, are in "
        "[the table of the dialects](index.md); this page is made from the dialect itself.\n\n"
        "## What is not imported\n",
        as_markdown(fields_not_imported(dialect)),
        "\nWhat a day left out is counted, by field: `fields_left_out` of `staged_events`, and `posthog-assets "
        "preview`. The raw export keeps all of it.\n",
    ]
    left_out = dialect.left_out.items() if issubclass(dialect, Vendor) else ()
    if left_out:
        parts.append("Events that are left out, unless `keep` names them:\n")
        parts.append(_table(["event", "why"], ([f"`{event}`", why] for event, why in left_out)))
    parts.append(f"## What becomes of each field\n\n{as_markdown(mapping_table(dialect))}\n")
    return "\n".join(parts)


def _dialect_pages() -> dict[str, Callable[[], str]]:
    """Return the page of each dialect; one that has a page by hand has the fields beside it."""
    return {
        f"dialects/{name}{'-fields' if (PAGES / f'dialects/{name}.md').exists() else ''}.md": partial(
            _dialect_page, name, dialect
        )
        for name, dialect in DIALECTS.items()
    }


def _parquet() -> str:
    parts = ["# Columns of the stored files\n\nEvery Parquet file an import writes, and what each column means.\n"]
    for name, schema in _schemas():
        parts.append(f"## {name.lower()}\n\n{_columns(schema)}")
    return "\n".join(parts)


def _schemas() -> Iterator[tuple[str, pa.Schema]]:
    for name, value in vars(schemas).items():
        if isinstance(value, pa.Schema):
            yield name, value


def _columns(schema: pa.Schema) -> str:
    return _table(
        ["column", "type", "meaning"],
        (
            [f"`{field.name}`", str(field.type), (field.metadata or {}).get(schemas.DESCRIPTION, b"").decode()]
            for field in schema
        ),
    )


def _errors() -> str:
    found = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.PosthogAssetsError)
    ]
    rows = (
        [
            f"`{error.__name__}`",
            ", ".join(f"`{base.__name__}`" for base in error.__mro__[1:-3]),
            "yes" if error.temporary else "no",
            (inspect.getdoc(error) or "").split("\n\n")[0],
        ]
        for error in found
    )
    return (
        "# Errors\n\nEvery error that is raised on purpose. One that passes by itself is tried again by Dagster and "
        "by the sensor for failed days; the others wait for a person.\n\n"
        + _table(["error", "is a", "passes by itself", "meaning"], rows)
    )


def _commands() -> str:
    return (
        "# Commands\n\nMade from the command line itself. All commands that name an import take `--project DIR` "
        "for a Dagster project of your own.\n\n"
        'In bash, `eval "$(_POSTHOG_ASSETS_COMPLETE=bash_source posthog-assets)"` makes the Tab key complete commands, '
        "imports, sources and dialects; zsh and fish have `zsh_source` and `fish_source`."
        "\n\n::: mkdocs-click\n"
        "    :module: posthog_assets.cli.main\n    :command: cli\n"
        "    :prog_name: posthog-assets\n    :depth: 1\n    :list_subcommands: True\n"
    )


#: Pages made from the code, by their path.
GENERATED: Final[dict[str, Callable[[], str]]] = {
    "reference/commands.md": _commands,
    "reference/dialect-fields.md": _dialects,
    "reference/errors.md": _errors,
    "reference/import-file.md": _import_file,
    "reference/stored-files.md": _parquet,
    **_dialect_pages(),
}
