"""The base of everything a user can write in an import file.

Belongs here: how settings are validated and how a wrong one is explained. Does not belong here: any
particular setting; those live in the room they configure.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from posthog_assets.errors import shorten


class Settings(BaseModel):
    """A section of the import file: immutable, and closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("is no time zone; use a name such as Europe/Berlin or UTC") from error
    return name


#: The name of a time zone.
TimeZone = Annotated[str, AfterValidator(_zone)]


def explain(error: ValidationError, prefix: str = "") -> list[str]:
    """Return one sentence per problem: the field's path, what was found and what is allowed.

    Values of fields that hold credentials are not repeated.
    """
    sentences = []
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        where = f"{prefix}.{path}".strip(".") if prefix else path
        # A URL may hold a password.
        is_secret = _secret(where) or where.endswith("url")
        found = "" if is_secret or problem["type"] == "missing" else _found(problem.get("input"))
        sentences.append(f"{where or 'the import file'}: {problem['msg']}{found}")
    return sentences


def _secret(path: str) -> bool:
    last = path.rsplit(".", 1)[-1].lower()
    return any(word in last for word in ("key", "secret", "password", "token", "credential", "webhook"))


def secrets_in(options: Any, name: str = "") -> list[str]:
    """Return the credentials among *options* that are passed on to somebody's library, told by their names."""
    if isinstance(options, dict):
        return [secret for key, value in options.items() for secret in secrets_in(value, str(key))]
    return [options] if isinstance(options, str) and options and _secret(name) else []


def _found(value: Any) -> str:
    if isinstance(value, dict | list):
        return ""
    return f" (found {shorten(value)})"


T = TypeVar("T", bound=BaseModel)


def load_by_type(value: Any, known: dict[str, type[T]], base: type[T], key: str = "type") -> T:
    """Return the section *value* describes, an object of the class its *key* names.

    The class is a name in *known*, or the dotted path of a subclass of *base* in anybody's own module.

    Raises:
        ValueError: there is no such class (pydantic's own error where a field is wrong).
    """
    if isinstance(value, base):
        return value
    if not isinstance(value, dict) or not isinstance(value.get(key), str):
        raise ValueError(f"needs a {key}: one of {', '.join(known)}, or my_package.MyClass")
    name = value[key]
    found = known.get(name) or _by_path(name, known, base, key)
    rest = {field: item for field, item in value.items() if field != key} if name not in known else value
    return found.model_validate(rest)


def _by_path(name: str, known: dict[str, type[T]], base: type[T], key: str) -> type[T]:
    module_name, _, class_name = name.rpartition(".")
    if not module_name:
        raise ValueError(f"{key} {name!r} is unknown; allowed: {', '.join(known)}, or my_package.MyClass")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{key} {name!r} cannot be imported: {error}") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise ValueError(f"{key} {name!r} is not a subclass of {base.__module__}.{base.__name__}")
    return found
