"""Explaining a wrong import file: where, what was found, what is allowed, and what was probably meant.

Belongs here: turning pydantic's problems into sentences for the person who edits the file. Does not belong here: what
is wrong (each section), or reading files.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from posthog_assets.core.errors import shorten
from posthog_assets.core.secrets import without_credentials

#: The path of a field: names, and places in lists.
Path = tuple[str | int, ...]

#: Most names of fields in a sentence.
_NAMES: Final = 40

#: Where nothing is known of what was given: pydantic's own parts of a path, which name types and no fields.
_NO_FIELD: Final = re.compile(r"[A-Z]\w*|.*[\[(].*|(?:int|str|float|bool|constrained-\w+|nullable|function-\w+)")


def explain(
    error: ValidationError,
    *,
    model: type[BaseModel] | None = None,
    given: Mapping[str, Any] | None = None,
    line_of: Callable[[Path], int | None] | None = None,
) -> list[str]:
    """Return one sentence per wrong field: its path (and line), what was found, what is allowed, what may be meant.

    *given* is what was validated as *model*; by them the names that are allowed at a place are known. Values of fields
    that hold credentials are not repeated.
    """
    found: dict[Path, list[Any]] = {}
    for problem in error.errors(include_url=False):
        found.setdefault(_fields_of(problem["loc"], problem["type"], given), []).append(problem)
    sentences = []
    for path, problems in _worth_saying(found).items():
        line = line_of(path) if line_of else None
        where = ".".join(map(str, path))
        words = _words(path, where, problems, model, given)
        sentences.append(f"{where or 'the import file'}{f' (line {line})' if line else ''}: {words}")
    return sentences


def _fields_of(loc: Path, kind: str, given: Mapping[str, Any] | None) -> Path:
    """Return the path of a field, without pydantic's names of the types it tried."""
    if given is None:
        return tuple(part for part in loc if isinstance(part, int) or not _NO_FIELD.fullmatch(part))
    value: Any = given
    fields: list[str | int] = []
    for place, part in enumerate(loc):
        is_there = (isinstance(value, Mapping) and part in value) or (
            isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        )
        if is_there:
            value = value[part]
            fields.append(part)
        elif place == len(loc) - 1 and kind == "missing":
            fields.append(part)
    return tuple(fields)


def _worth_saying(found: dict[Path, list[Any]]) -> dict[Path, list[Any]]:
    """Return the problems without those that only follow from an unknown field beside them.

    Where a section may be of several kinds, pydantic names what each of them lacks; a misspelt name says it all.
    """
    unknown = {path[:-1] for path, problems in found.items() if problems[0]["type"] == "extra_forbidden"}
    several = {path[:-1] for path, problems in found.items() if len({tuple(p["loc"]) for p in problems}) > 1}
    return {
        path: problems
        for path, problems in found.items()
        if not (problems[0]["type"] == "missing" and path[:-1] in unknown and path[:-1] in several)
    }


def _words(
    path: Path, where: str, problems: list[Any], model: type[BaseModel] | None, given: Mapping[str, Any] | None
) -> str:
    kinds = {problem["type"] for problem in problems}
    names = allowed_names(model, given, path[:-1]) if model is not None and given is not None and path else []
    if "extra_forbidden" in kinds and str(path[-1]) not in names:
        hint = meant(str(path[-1]), names) or ("." if names else "")
        return f"is no field here{hint}{_allowed(names)}"
    if kinds == {"missing"}:
        return "is required and missing"
    # A URL may hold a password.
    is_secret = is_credential(where) or where.endswith("url")
    value = problems[0].get("input")
    shown = "" if is_secret or isinstance(value, dict | list) or "missing" in kinds else f" (found {shorten(value)})"
    own = [problem for problem in problems if problem["type"] != "extra_forbidden"]
    sections = allowed_names(model, given, path) if model is not None and given is not None else []
    messages = list(dict.fromkeys(_message(problem, sections) for problem in own))
    return without_credentials(f"{' or '.join(messages)}{_meant_value(value, problems)}{shown}")


def _message(problem: Any, fields: list[str]) -> str:
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"must be a section, {{{' | '.join(fields)}: …}}" if fields else "must be a section, {name: value}"
    message: str = problem["msg"]
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def _meant_value(value: Any, problems: list[Any]) -> str:
    if not isinstance(value, str):
        return ""
    choices = [
        text for problem in problems for text in re.findall(r"'([^']*)'", problem.get("ctx", {}).get("expected", ""))
    ]
    return meant(value, choices)


def meant(name: str, names: list[str]) -> str:
    """Return `; did you mean …?` where *name* is close to one of *names*, else nothing."""
    by_form = {_form(known): known for known in names}
    close = difflib.get_close_matches(_form(name), by_form, n=1, cutoff=0.6)
    return f"; did you mean {by_form[close[0]]}?" if close else ""


def _form(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _allowed(names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f" Allowed: {', '.join(names[:_NAMES])}{more}"


def allowed_names(model: type[BaseModel], given: Mapping[str, Any], path: Path) -> list[str]:
    """Return the names of the fields that may stand at *path* of what is *given* as *model*, in their order."""
    models: list[type[BaseModel]] = [model]
    value: Any = given
    for part in path:
        if isinstance(part, int):
            value = value[part]
            models = [inner for one in models for inner in _chosen(one, value)]
            continue
        value = value[part] if isinstance(value, Mapping) and part in value else None
        models = [inner for one in models if part in one.model_fields for inner in _models(one, part, value)]
    return list(dict.fromkeys(name for one in models for name in one.model_fields))


def _models(model: type[BaseModel], field: str, value: Any) -> Iterator[type[BaseModel]]:
    """Yield the models a field of *model* may be; of a section chosen by its type, the one *value* chooses."""
    info = model.model_fields[field]
    for choice in (*info.metadata, *_metadata(info.annotation)):
        if hasattr(choice, "chosen"):
            # Of a list each member chooses for itself.
            yield choice.chosen(value) if isinstance(value, Mapping) else _ByPlace.of(choice)
            return
    yield from _models_in(info.annotation)


class _ByPlace(BaseModel):
    """Stands for the members of a list, each of which chooses its own model."""

    @classmethod
    def of(cls, choice: Any) -> type[BaseModel]:
        return type("_Members", (cls,), {"choice": classmethod(lambda _: choice)})


def _chosen(model: type[BaseModel], value: Any) -> Iterator[type[BaseModel]]:
    if issubclass(model, _ByPlace) and isinstance(value, Mapping):
        yield model.choice().chosen(value)  # type: ignore[attr-defined]
    else:
        yield model


def _metadata(annotation: Any) -> Iterator[Any]:
    for inner in get_args(annotation):
        yield from getattr(inner, "__metadata__", ())
        yield from _metadata(inner)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def is_credential(path: str) -> bool:
    """Return whether the field at *path* holds something that must not be shown, by its name."""
    last = path.rsplit(".", 1)[-1].lower()
    return any(word in last for word in ("key", "secret", "password", "token", "credential", "webhook", "auth", "dsn"))
