"""The step on addresses of pages.

Belongs here: taking an address apart, leaving parts of it out. Does not belong here: which properties are URLs; the
user names them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from pydantic import Field

from posthog_assets.mapping.steps.base import Event, OfProperties
from posthog_assets.mapping.steps.name_patterns import Names

#: Parameters PostHog's web SDK makes properties of; their names are PostHog's.
CAMPAIGN: Final = (
    "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "gclid", "gad_source", "gclsrc", "dclid",
    "gbraid", "wbraid", "fbclid", "msclkid", "twclid", "li_fat_id", "mc_cid", "igshid", "ttclid", "rdt_cid", "epik",
    "qclid", "sccid", "irclid", "_kx",
)  # fmt: skip

#: What `strip: [tracking]` means.
_TRACKING: Final = (*CAMPAIGN, "utm_*", "mc_eid", "_ga", "_gl", "_hsenc", "_hsmi", "yclid", "vero_id")


class Url(OfProperties):
    """Tell an address's host, path and campaign as PostHog's web SDK does, and strip parameters from it.

    `strip` names query parameters, `*` for all of them, `tracking` for the usual campaign and click ids; they are read
    before they go. Values that are there already stay. An address that cannot be read stays as it is.

    `{step: url, name: $current_url, strip: [tracking, "session*"], fragment: false}`; for a referrer:
    `{step: url, name: $referrer, host: $referring_domain, path: null, campaign: false}`
    """

    name: str = Field("$current_url", description="The property that holds the address")
    strip: list[str] = Field(default_factory=list, description="Query parameters to leave out")
    fragment: bool = Field(True, description="Whether what follows # stays")
    host: str | None = Field("$host", description="Where the host goes; null: nowhere")
    path: str | None = Field("$pathname", description="Where the path goes; null: nowhere")
    campaign: bool = Field(True, description="Make properties of utm_… and click ids")

    def apply(self, event: Event) -> None:
        for bag in event.bags(self.scope):
            address = bag.get(self.name)
            if isinstance(address, str) and address:
                clean, parts = self._taken_apart(address)
                bag[self.name] = clean
                for name, value in parts:
                    bag.setdefault(name, value)

    @cached_property
    def _taken_apart(self) -> Callable[[str], tuple[str, tuple[tuple[str, str], ...]]]:
        strip = Names([name for item in self.strip for name in (_TRACKING if item == "tracking" else (item,))])

        @lru_cache(maxsize=20_000)
        def taken_apart(address: str) -> tuple[str, tuple[tuple[str, str], ...]]:
            try:
                url = urlsplit(address)
            except ValueError:
                return address, ()
            host = url.netloc.rpartition("@")[2]
            parts = [(self.host, host), (self.path, url.path or ("/" if host else ""))]
            if self.campaign:
                parts += [(name, value) for name, value in parse_qsl(url.query) if name in CAMPAIGN]
            return self._clean(address, strip), tuple((name, value) for name, value in parts if name and value)

        return taken_apart

    def _clean(self, address: str, strip: Names) -> str:
        # By hand: putting a parsed address together again would write some of it in another way.
        address, mark, fragment = address.partition("#")
        before, question, query = address.partition("?")
        if question and self.strip:
            kept = [item for item in query.split("&") if not strip.mean(unquote_plus(item.partition("=")[0]))]
            address = f"{before}?{'&'.join(kept)}" if kept else before
        return address + mark + fragment if self.fragment else address
