"""The base of everything a user can write in an import file.

Belongs here: how settings are validated and how a wrong one is explained. Does not belong here: any
particular setting; those live in the room they configure.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from posthog_assets.errors import shorten


class Settings(BaseModel):
    """A section of the import file: immutable, and closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def explain(error: ValidationError, prefix: str = "") -> list[str]:
    """Return one sentence per problem: the field's path, what was found and what is allowed.

    Values of fields that hold credentials are not repeated.
    """
    sentences = []
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        where = f"{prefix}.{path}".strip(".") if prefix else path
        found = "" if _secret(where) or problem["type"] == "missing" else _found(problem.get("input"))
        sentences.append(f"{where or 'the import file'}: {problem['msg']}{found}")
    return sentences


def _secret(path: str) -> bool:
    last = path.rsplit(".", 1)[-1].lower()
    return any(word in last for word in ("key", "secret", "password", "token", "credential"))


def _found(value: Any) -> str:
    if isinstance(value, dict | list):
        return ""
    return f" (found {shorten(value)})"
