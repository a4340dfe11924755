"""The version of a mapping: a short text that changes when events may come out otherwise.

Belongs here: what it is made of. Does not belong here: where it is kept (the events' file, the ledger) and compared.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from types import CodeType
from typing import Any, Final

import orjson
from pydantic import BaseModel

from posthog_assets.dialects.base import Dialect
from posthog_assets.mapping.events import load_hook
from posthog_assets.mapping.settings import Mapping

#: Goes up whenever this package makes other events of the same records and settings.
RULES: Final = 3


#: What says which dialect or step the other settings are of.
_ALWAYS: Final = ("type", "step")


def mapping_version(
    mapping: Mapping,
    dialect: Dialect,
    import_name: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> str:
    """Return eight hexadecimal digits for the settings of mapping and dialect, the cut-over, and the user's function.

    Of that function its own code counts, not what it calls. A setting that has its default does not count, so that
    days stay as they are when a release brings a new setting; where a release changes a default, `RULES` goes up.

    Raises:
        ImportFileError: it cannot be imported.
    """
    sections = (orjson.dumps(_chosen(section), default=str).decode() for section in (mapping, dialect))
    parts = [str(RULES), str(dialect.uuid_namespace(import_name)), *sections]
    parts += [f"{name} {limit.astimezone(UTC)}" for name, limit in (("since", since), ("until", until)) if limit]
    if mapping.transform:
        parts.append(_of_code(getattr(load_hook(mapping.transform), "__code__", None)))
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=4).hexdigest()


def _chosen(value: Any) -> Any:
    """Return what of a section is not as it is by default, and of which dialect or step it is."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {
            name: _chosen(item)
            for name, item in value
            if name in _ALWAYS or item != fields[name].get_default(call_default_factory=True)
        }
    if isinstance(value, dict):
        return {str(key): _chosen(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_chosen(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return value


def _of_code(code: CodeType | None) -> str:
    if code is None:
        return ""
    inner = [_of_code(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"
