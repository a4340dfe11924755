"""Steps that keep people unknown: hash, redact.

Belongs here: pseudonyms, and taking out what tells who somebody is. Does not belong here: other changes of values.

Steps change what is sent. The raw export and the staged events keep what the source said: restrict who reads the
storage, or delete those partitions once the import is done.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, Literal

import orjson
from pydantic import Field, SecretStr, field_validator, model_validator

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.posthog_rules import is_illegal
from posthog_assets.mapping.steps.base import Apply, Event, Files, OfProperties, Scope
from posthog_assets.mapping.steps.name_patterns import Names


class Hash(OfProperties):
    """Replace values, and the ids of persons, by a keyed hash (HMAC-SHA256, 64 hex digits).

    The same text has the same hash everywhere, so properties that repeat an id still match it: name them too. A
    number is hashed as its digits, an object or list as its JSON. With `ids` every id of a person is replaced before
    anything is made of it - the distinct_id, the ids that identify and alias calls name, those of derived
    `$identify` - so what was one person stays one. Ids PostHog gives no person (`null`, `guest`) stay, and are
    rejected later: as hashes they would become one giant person. Another key, or hashing ids only after an
    import, makes other persons; the ledger refuses such a re-import.

    `{step: hash, key: "{{ env.HASH_KEY }}", names: [email, "*_id"], ids: true}`
    """

    scope: Scope = Field("all", description="Whose properties: the event's, the person's, the group's, or all")
    key: SecretStr | None = Field(None, description="At least 16 characters; keep it as long as you import")
    names: list[str] = Field(default_factory=list, description="Properties to hash")
    ids: bool = Field(False, description="The ids of persons too")
    lower: bool = Field(False, description="Trim texts and write them in small letters first")

    @field_validator("key")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value and value.get_secret_value() and len(value.get_secret_value()) < 16:
            raise ValueError("is shorter than 16 characters: hashes under it can be guessed")
        return value

    @model_validator(mode="after")
    def _hashes_something(self) -> Hash:
        if not self.names and not self.ids:
            raise ValueError("needs names or ids: true: it would hash nothing")
        if self.ids and self.events:
            raise ValueError("events: ids are hashed in all events or in none, or a person would fall in two")
        return self

    def ready(self, files: Files) -> Apply:
        if not (self.key and self.key.get_secret_value()):
            raise ImportFileError("mapping.steps: the step hash has no key; set the environment variable its key names")
        return self.apply

    def apply(self, event: Event) -> None:
        for bag in event.bags(self.scope):
            for name in self._names.of(bag):
                value = bag[name]
                if value is not None:
                    bag[name] = self._digest(value if isinstance(value, str) else orjson.dumps(value).decode())

    @property
    def changes_ids(self) -> bool:
        return self.ids

    def pseudonym(self, distinct_id: str) -> str:
        return self._pseudonyms(distinct_id)

    @cached_property
    def _pseudonyms(self) -> Callable[[str], str]:
        @lru_cache(maxsize=50_000)
        def pseudonym(distinct_id: str) -> str:
            text = distinct_id.strip()
            return self._digest(text) if text and not is_illegal(text) else distinct_id

        return pseudonym

    def _digest(self, text: str) -> str:
        text = text.strip().lower() if self.lower else text
        return hmac.digest(self._secret, text.encode(), "sha256").hex()

    @cached_property
    def _secret(self) -> bytes:
        return self.key.get_secret_value().encode() if self.key else b""

    @cached_property
    def _names(self) -> Names:
        return Names(self.names)


Kind = Literal["email", "phone", "ip", "card"]


@dataclass(frozen=True)
class _Search:
    """A pattern; `may_be_in` tells most texts apart from those worth the search, in a fraction of its time."""

    kind: Kind
    may_be_in: Callable[[str], Any]
    pattern: re.Pattern[str]
    mask: str | Callable[[re.Match[str]], str]


def _masked_card(found: re.Match[str]) -> str:
    digits = [int(sign) for sign in found[0] if sign.isdigit()]
    # Luhn's check digit tells card numbers from other long numbers.
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[-2::-2]]
    return "[card]" if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else found[0]


_SOME_DIGITS: Final = re.compile(r"\d[\d ()./-]{4}").search
_BYTE: Final = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"

#: In this order. Phone numbers are those written as such (+49 …, (030) …, 555-123-4567): a row of digits is more often
#: an id.
_SEARCHES: Final = (
    _Search("email", lambda text: "@" in text, re.compile(r"[\w.%+'-]+@[\w-]+(?:\.[\w-]+)+"), "[email]"),
    _Search(
        "ip",
        lambda text: text.count(".") > 2 and _SOME_DIGITS(text),
        re.compile(rf"(?<![\w.:]){_BYTE}(?:\.{_BYTE}){{3}}(?![\w:]|\.\d)"),
        "[ip]",
    ),
    _Search(
        "ip",
        lambda text: "::" in text or text.count(":") > 6,
        re.compile(
            r"(?<![\w.:])(?:(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}"
            r"|(?:[0-9a-fA-F]{1,4}:){1,6}(?::[0-9a-fA-F]{1,4}){1,6}|(?:[0-9a-fA-F]{1,4}:){2,7}:)(?![\w:])"
        ),
        "[ip]",
    ),
    _Search("card", _SOME_DIGITS, re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])"), _masked_card),
    _Search(
        "phone",
        _SOME_DIGITS,
        re.compile(
            r"(?<![\w+])\+\d[\d ()./-]{6,18}\d(?!\w)"
            r"|(?<!\w)\(0?\d{2,5}\)[ ]?\d[\d ./-]{3,12}\d(?!\w)"
            r"|(?<![\w.-])\d{3}[-. ]\d{3}[-. ]\d{4}(?![\w-])"
        ),
        "[phone]",
    ),
)


class Redact(OfProperties):
    """Take out or mask what tells who somebody is: by name at any depth, and by pattern in every text.

    `find` masks e-mail addresses, IP addresses, phone and card numbers as `[email]` and so on. Ids and event names are
    not searched (`hash` has `ids`); nor are the names of properties.

    `{step: redact, names: ["*password*", $ip], find: [email, card], action: remove}`
    """

    scope: Scope = Field("all", description="Whose properties: the event's, the person's, the group's, or all")
    names: list[str] = Field(default_factory=list, description="Properties to take out, nested ones too")
    action: Literal["remove", "mask"] = Field("remove", description="What becomes of named ones; mask: [redacted]")
    find: list[Kind] = Field(default_factory=list, description="Patterns to mask in texts")

    @model_validator(mode="after")
    def _redacts_something(self) -> Redact:
        if not self.names and not self.find:
            raise ValueError("needs names or find: it would redact nothing")
        return self

    def apply(self, event: Event) -> None:
        for bag in event.bags(self.scope):
            self._clean(bag)

    def _clean(self, bag: dict[str, Any]) -> None:
        for name in self._names.of(bag):
            if self.action == "remove":
                del bag[name]
            else:
                bag[name] = "[redacted]"
        searched = (str, list, dict) if self.find else (list, dict)
        for name, value in bag.items():
            if isinstance(value, searched):
                bag[name] = self._cleaned(value)

    def _cleaned(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._masked(value) if self.find else value
        if isinstance(value, dict):
            self._clean(value)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                value[index] = self._cleaned(item)
        return value

    @cached_property
    def _masked(self) -> Callable[[str], str]:
        searches = [search for search in _SEARCHES if search.kind in self.find]

        # The same texts come again and again (pages, user agents); the memory of long ones would be large.
        @lru_cache(maxsize=20_000)
        def masked(text: str) -> str:
            for search in searches:
                if search.may_be_in(text):
                    text = search.pattern.sub(search.mask, text)
            return text

        return lambda text: masked(text) if len(text) < 300 else masked.__wrapped__(text)

    @cached_property
    def _names(self) -> Names:
        return Names(self.names)
