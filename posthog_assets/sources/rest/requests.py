"""A request to an API, before it is sent.

Belongs here: filling in what an import file writes, and putting parameters together. Does not belong here: credentials
(`auth`), sending (`client`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

#: `{form}`, `{incremental.start_value}`; braces that hold no such name are no placeholder.
PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][\w.]*)\}")


@dataclass(frozen=True)
class Request:
    """What is asked for. `link`, where there is one, is a whole URL and stands instead of `url` and `params`."""

    method: str
    url: str
    params: tuple[tuple[str, str], ...] = ()
    body: Any = None
    link: str | None = None

    @property
    def shown(self) -> str:
        """The URL without its parameters, for messages."""
        return f"{self.method} {(self.link or self.url).partition('?')[0]}"

    def with_param(self, name: str, value: str) -> Request:
        """Return the request with parameter *name* set to *value*, and to nothing else."""
        return replace(self, params=(*(pair for pair in self.params if pair[0] != name), (name, value)))

    def target(self, credentials: Mapping[str, str]) -> tuple[str, str]:
        """Return the scheme and host, and the path with all parameters; *credentials* are parameters too."""
        parts = urlsplit(self.link or self.url)
        query = [parts.query] if parts.query else []
        if more := [*(() if self.link else self.params), *credentials.items()]:
            query.append(urlencode(more, safe="[]"))
        return f"{parts.scheme}://{parts.netloc}", urlunsplit(("", "", parts.path or "/", "&".join(query), ""))


def without_params(link: str, names: Iterable[str]) -> str:
    """Return a URL without the parameters *names*; the others stay as they are written."""
    parts = urlsplit(link)
    dropped = {quote(name, safe="") for name in names} | set(names)
    kept = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in dropped]
    return urlunsplit(parts._replace(query="&".join(kept)))


def filled(value: Any, known: Mapping[str, Any]) -> Any:
    """Return *value* with its placeholders filled in; a text that is one placeholder becomes its value as it is."""
    match value:
        case str():
            whole = PLACEHOLDER.fullmatch(value)
            if whole and whole[1] in known:
                return known[whole[1]]
            return PLACEHOLDER.sub(lambda found: str(known.get(found[1], found[0])), value)
        case dict():
            return {key: filled(item, known) for key, item in value.items()}
        case list():
            return [filled(item, known) for item in value]
    return value


def filled_path(path: str, known: Mapping[str, Any], safe: str) -> str:
    """Return a path with its placeholders filled in, quoted for a URL but for the letters *safe*."""
    return PLACEHOLDER.sub(lambda found: quote(str(known.get(found[1], found[0])), safe=safe), path)


def placeholders(value: Any) -> set[str]:
    """Return the names of the placeholders in *value*."""
    match value:
        case str():
            return set(PLACEHOLDER.findall(value))
        case dict():
            return {name for item in value.values() for name in placeholders(item)}
        case list():
            return {name for item in value for name in placeholders(item)}
    return set()


def pairs_of(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return parameters as pairs of texts: lists are repeated, None is left out, booleans are `true` and `false`."""
    pairs = []
    for name, value in params.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                pairs.append((name, str(one).lower() if isinstance(one, bool) else str(one)))
    return tuple(pairs)
