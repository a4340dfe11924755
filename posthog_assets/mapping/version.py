"""The version of a mapping: a short text that changes when events may come out otherwise.

Belongs here: what it is made of. Does not belong here: where it is kept (the events' file, the ledger) and compared.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from types import CodeType
from typing import Final

from posthog_assets.dialects.base import Dialect
from posthog_assets.mapping.events import load_hook
from posthog_assets.mapping.settings import Mapping

#: Goes up whenever this package makes other events of the same records and settings.
RULES: Final = 2

#: Settings that came after days had been imported: where a file does not use them its version stays what it was.
_ADDED: Final = ("sessions",)


def mapping_version(
    mapping: Mapping,
    dialect: Dialect,
    import_name: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> str:
    """Return eight hexadecimal digits for the settings of mapping and dialect, the cut-over, and the user's function.

    Of that function its own code counts, not what it calls.

    Raises:
        ImportFileError: it cannot be imported.
    """
    parts = [str(RULES), str(dialect.uuid_namespace(import_name)), _settings(mapping), dialect.model_dump_json()]
    parts += [f"{name} {limit.astimezone(UTC)}" for name, limit in (("since", since), ("until", until)) if limit]
    if mapping.transform:
        parts.append(_of_code(getattr(load_hook(mapping.transform), "__code__", None)))
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=4).hexdigest()


def _settings(mapping: Mapping) -> str:
    default = Mapping.model_validate({})
    unused = {name for name in _ADDED if getattr(mapping, name) == getattr(default, name)}
    return mapping.model_dump_json(exclude=unused)


def _of_code(code: CodeType | None) -> str:
    if code is None:
        return ""
    inner = [_of_code(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"
