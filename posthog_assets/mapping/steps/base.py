"""What a step is: one change to one event, as the import file sets it.

Belongs here: the event a step sees, the base class of steps, what they may ask for. Does not belong here: any step, or
how rows become events and back (`runner`).

What a step may change is what PostHog does not know an event by: properties, person and group properties, groups, and
the name. An event's time and uuid are facts. Its ids change for all events in the same way or not at all
(`Step.pseudonym`): one person under two ids cannot be mended later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any, ClassVar, Final, Literal, Protocol

from pydantic import Field

from posthog_assets.core.sections import Section

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


#: JSON values by name.
Bag = dict[str, Any]


Scope = Literal["event", "person", "group", "all"]


_PERSON_KEYS: Final = ("$set", "$set_once")


class Event:
    """One event between its staged row and PostHog.

    `name` is PostHog's. `properties`, `set`, `set_once`, `groups` and `group_set` (the properties a group call tells)
    are dictionaries of JSON values and may be changed or replaced. What PostHog merges persons and finds groups by
    (`$anon_distinct_id`, `alias`, `$group_type`, `$group_key`) is kept from the steps.
    """

    __slots__ = (
        "_anonymous_id", "_distinct_id", "_linked_ids", "_micros", "_user_id", "group_set", "groups", "name",
        "properties", "set", "set_once",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        distinct_id: str | None,
        micros: int,
        properties: Bag,
        *,
        user_id: str | None = None,
        anonymous_id: str | None = None,
        linked_ids: Collection[str] = (),
    ) -> None:
        self.name = name
        self.properties = properties
        self.set: Bag = {}
        self.set_once: Bag = {}
        self.groups: dict[str, str] = {}
        self.group_set: Bag = {}
        self._distinct_id = distinct_id
        self._micros = micros
        self._user_id = user_id
        self._anonymous_id = anonymous_id
        self._linked_ids = linked_ids

    @property
    def distinct_id(self) -> str | None:
        """Whose event it is: the user's id, else the anonymous one."""
        return self._distinct_id

    @property
    def user_id(self) -> str | None:
        return self._user_id

    @property
    def anonymous_id(self) -> str | None:
        return self._anonymous_id

    @property
    def is_anonymous(self) -> bool:
        """Whether no user is known."""
        return self._user_id is None

    @property
    def linked_ids(self) -> Collection[str]:
        """Under which ids this person goes on, as far as the day says; empty unless a step `needs_links`."""
        return self._linked_ids

    @property
    def timestamp(self) -> datetime:
        """When it happened, in UTC."""
        return _EPOCH + timedelta(microseconds=self._micros)

    def bags(self, scope: Scope) -> Sequence[Bag]:
        """Return the dictionaries that *scope* names."""
        if scope == "event":
            return (self.properties,)
        if scope == "group":
            return (self.group_set,)
        inner = [bag for key in _PERSON_KEYS if isinstance(bag := self.properties.get(key), dict)]
        person = (self.set, self.set_once, *inner)
        return person if scope == "person" else (self.properties, *person, self.group_set)


class Files(Protocol):
    """How steps get at files: the caller opens them, the mapping never does."""

    def read(self, path: str) -> bytes:
        """Return the bytes at *path*: a local path, an fsspec URL, or `python-package://<distribution>/<file>`."""
        ...

    def ip_lookup(self, path: str) -> Callable[[str], Mapping[str, Any] | None]:
        """Return a function from an address to what the MaxMind database at *path* says of it.

        The function raises ValueError where the address is none.
        """
        ...


#: What a step does to an event; raises Rejected.
Apply = Callable[[Event], None]


class Step(Section):
    """One change to events. Subclasses implement `apply`, or `ready` where they need files or a memory of their own."""

    step: str = "custom"
    events: list[str] = Field(default_factory=list, description="Only events of these PostHog names; absent: all")

    #: Whether events must know which ids the day links to theirs.
    needs_links: ClassVar[bool] = False

    def apply(self, event: Event) -> None:
        """Change *event*; the same event must always become the same. Raises Rejected where it is not to be sent."""
        raise NotImplementedError

    def ready(self, files: Files) -> Apply:
        """Return what is applied to each event of a day; called once a day, before the first."""
        return self.apply

    @property
    def changes_ids(self) -> bool:
        """Whether `pseudonym` replaces the ids of persons."""
        return False

    def pseudonym(self, distinct_id: str) -> str:
        """Return what stands for an id, wherever a record names it."""
        return distinct_id


class OfProperties(Step):
    """A step on properties of the event, its person, or its group."""

    scope: Scope = Field("event", description="Whose properties: event, person, group or all")


def need(module: str, step: str) -> None:
    """Raise ValueError where a step's library is not installed."""
    if find_spec(module) is None:
        raise ValueError(f"the step {step} needs another package: pip install 'posthog_assets[enrich]'")
