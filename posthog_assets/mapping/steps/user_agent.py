"""The step that reads user agents.

Belongs here: PostHog's names for browsers, systems and devices. Does not belong here: recognising them; that is the
library `ua-parser`, which follows the browsers' own changes.

PostHog's names are those its web SDK writes (posthog-js, `user-agent-utils`), so that history and new events meet.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from pydantic import Field, model_validator

from posthog_assets.core.rejection import Rejected
from posthog_assets.mapping.steps.base import Apply, Bag, Event, Files, Step, need

#: ua-parser's name -> PostHog's, where they differ.
_BROWSERS: Final = {
    "Android": "Android Mobile", "Chrome Mobile": "Chrome", "Chrome Mobile iOS": "Chrome iOS",
    "Chrome Mobile WebView": "Chrome", "Edge": "Microsoft Edge", "Edge Mobile": "Microsoft Edge",
    "Facebook": "Facebook Mobile", "Firefox Mobile": "Firefox", "IE": "Internet Explorer",
    "IE Mobile": "Internet Explorer Mobile", "Mobile Safari UI/WKWebView": "Mobile Safari",
    "Opera Mobile": "Opera",
}  # fmt: skip

_SYSTEMS: Final = {
    "Chromium OS": "Chrome OS", "Debian": "Linux", "Fedora": "Linux", "Red Hat": "Linux", "SUSE": "Linux",
    "Ubuntu": "Linux", "WatchOS": "watchOS", "BlackBerry OS": "BlackBerry", "BlackBerry Tablet OS": "BlackBerry",
}  # fmt: skip

#: Systems whose version has three parts in PostHog, a missing one being 0.
_THREE_PARTS: Final = frozenset({"iOS", "Android", "Mac OS X"})

_BOT: Final = "Spider"


class UserAgent(Step):
    """Tell browser, system and device from a user agent, in PostHog's words; values that are there already stay.

    Sets `$browser`, `$browser_version`, `$os`, `$os_version`, `$device` and `$device_type`. `bots: reject` leaves out
    crawlers. Needs the extra `enrich`.

    `{step: user_agent, names: [$raw_user_agent, userAgent], bots: reject}`
    """

    names: list[str] = Field(
        default_factory=lambda: ["$raw_user_agent", "$useragent", "$user_agent", "user_agent", "userAgent"],
        description="The first of these that has a value",
    )
    bots: str = Field("keep", pattern="^(keep|reject)$", description="keep | reject events of crawlers")

    @model_validator(mode="after")
    def _is_installed(self) -> UserAgent:
        need("ua_parser", "user_agent")
        return self

    def ready(self, files: Files) -> Apply:
        import ua_parser

        parser = ua_parser.Parser.from_matchers(ua_parser.load_builtins())
        # The rules are compiled at the first use, which takes a while and reads files.
        parser.parse("")

        @lru_cache(maxsize=20_000)
        def read(text: str) -> tuple[tuple[tuple[str, Any], ...], str | None]:
            found = parser.parse(text)
            is_bot = found.device is not None and found.device.family == _BOT
            family = found.user_agent.family if found.user_agent else "unknown"
            return tuple(_told(found, text).items()), family if is_bot else None

        def apply(event: Event) -> None:
            bag = event.properties
            for name in self.names:
                text = bag.get(name)
                if isinstance(text, str) and text:
                    break
            else:
                return
            told, bot = read(text)
            if bot and self.bots == "reject":
                raise Rejected(f"user agent is a bot's: {bot}")
            for key, value in told:
                bag.setdefault(key, value)

        return apply


def _told(found: Any, text: str) -> Bag:
    """Return what ua-parser *found*, under PostHog's names."""
    told: Bag = {}
    if agent := found.user_agent:
        told["$browser"] = _BROWSERS.get(agent.family, agent.family)
        if (version := _browser_version(agent)) is not None:
            told["$browser_version"] = version
    if system := found.os:
        told["$os"] = _SYSTEMS.get(system.family, system.family)
        if parts := _system_version(told["$os"], system):
            told["$os_version"] = parts
    device = found.device.family if found.device and found.device.family not in (_BOT, "Other") else None
    kind = _device_type(told.get("$os"), device, text)
    if device and kind != "Desktop":
        told["$device"] = device if device in ("iPhone", "iPad") else told.get("$os", device)
    if agent or system or device:
        told["$device_type"] = kind
    return told


def _browser_version(agent: Any) -> int | float | None:
    if not (agent.major or "").isdigit():
        return None
    minor = agent.minor if (agent.minor or "").isdigit() else "0"
    version = float(f"{agent.major}.{minor}")
    return int(version) if version.is_integer() else version


def _system_version(name: str, system: Any) -> str | None:
    parts = [system.major, system.minor, system.patch]
    if parts[0] and name in _THREE_PARTS:
        parts = [part or "0" for part in parts]
    return ".".join(part for part in parts if part) or None


def _device_type(system: str | None, device: str | None, text: str) -> str:
    if system == "watchOS":
        return "Wearable"
    if any(name in text for name in ("PlayStation", "Xbox", "Nintendo")):
        return "Console"
    if "iPad" in text or "Tablet" in text or "Kindle" in text or (system == "Android" and "Mobile" not in text):
        return "Tablet" if "Dalvik" not in text else "Mobile"
    if system in ("iOS", "Android", "Windows Phone", "BlackBerry") or "Mobile" in text:
        return "Mobile"
    return "Desktop"
