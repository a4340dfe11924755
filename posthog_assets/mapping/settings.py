"""The `mapping` section of the import file.

Belongs here: what a user can set. Does not belong here: how it is done.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from pydantic.json_schema import JsonSchemaValue

from posthog_assets.core.markers import Markers
from posthog_assets.core.posthog_rules import name_flaw
from posthog_assets.core.sections import Choices, Section
from posthog_assets.mapping.identity import SharedDevices
from posthog_assets.mapping.steps import STEPS, Step, load_step


class Properties(Section):
    """What becomes of properties; rename comes first, then drop and keep, then add. A renamed one replaces its like."""

    rename: dict[str, str] = Field(default_factory=dict, description="Old name -> new name")
    drop: list[str] = Field(default_factory=list, description="Properties that are not imported")
    keep: list[str] | None = Field(None, description="Only these, by their new names; absent: all")
    add: dict[str, Any] = Field(
        default_factory=dict, description="Constants; an event's own value of the name is kept out"
    )


Place = Literal["set", "set_once", "none"]


class PersonProperties(Section):
    """Where person properties go: `default`, and those of certain names elsewhere.

    `set` is the last value known, `set_once` the first, `none` leaves them out. A property the source knows for the
    first value only stays `set_once` where `set` is the default.
    """

    short_form: ClassVar[JsonSchemaValue] = {"enum": ["set", "set_once", "none"]}

    default: Place = Field("set_once", description="Where properties go that are not named below")
    set: list[str] = Field(default_factory=list, description="Overwrite what the person has")
    set_once: list[str] = Field(default_factory=list, description="Only where the person has none yet")
    none: list[str] = Field(default_factory=list, description="Not sent")

    @model_validator(mode="before")
    @classmethod
    def _one_word_is_the_default(cls, value: Any) -> Any:
        return {"default": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names_each_once(self) -> PersonProperties:
        named = [*self.set, *self.set_once, *self.none]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: each property goes to one place")
        return self

    @property
    def is_plain(self) -> bool:
        """Whether all properties go to the same place."""
        return not (self.set or self.set_once or self.none)

    def place(self, name: str, own: Place) -> Place:
        """Return where a property goes that the source knows as *own* (`set` or `set_once`)."""
        if name in self.set:
            return "set"
        if name in self.set_once:
            return "set_once"
        if name in self.none or self.default == "none":
            return "none"
        return own if self.default == "set" else "set_once"


class IdentityMap(Section):
    """A table of old ids and the ids persons have in PostHog now."""

    path: str = Field(min_length=1, description="File or fsspec URL: CSV, JSON lines or Parquet, compressed or not")
    old: str = Field("old_id", description="Column of the id in the history")
    new: str = Field("new_id", description="Column of the id in PostHog")
    storage_options: dict[str, Any] = Field(default_factory=dict, description="Passed to fsspec", repr=False)


class Sessions(Section):
    """Which session an event belongs to: `auto`, `off`, or settings, with which they are on."""

    mode: Literal["auto", "off"] = Field(
        "auto", description="auto: the source's own session becomes the event's; off: no session"
    )
    idle_minutes: int | None = Field(
        None,
        ge=1,
        le=720,
        description="Compute sessions, per person, where the source has none: they end after so long",
    )
    property: str | None = Field(
        None, min_length=1, description="Property that names the session, where the dialect does not know one"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_word_is_the_mode(cls, value: Any) -> Any:
        # YAML reads `off` and `on` as booleans.
        if isinstance(value, bool):
            value = "auto" if value else "off"
        return {"mode": value} if isinstance(value, str) else value


class Mapping(Section):
    """What records are to be in PostHog."""

    events: dict[str, str | None] = Field(default_factory=dict, description="Old name -> new name; null: not imported")
    groups: dict[str, str | None] = Field(
        default_factory=dict, description="Old group type -> new group type; null: its groups are not imported"
    )
    steps: list[Annotated[SerializeAsAny[Step], BeforeValidator(load_step), Choices(STEPS, "step")]] = Field(
        default_factory=list, description="Changes to each event, in this order, after `events`, before `properties`"
    )
    properties: Properties = Field(
        default_factory=lambda: Properties.model_validate({}), description="What becomes of the properties of events"
    )
    person_properties: PersonProperties = Field(
        default_factory=lambda: PersonProperties.model_validate({}),
        description="How the person's properties are sent; set would overwrite living people",
    )
    identify: bool = Field(True, description="Emit $identify for every pair of anonymous and user id, once a day")
    shared_devices: SharedDevices = Field(
        "first", description="Which user an anonymous id is linked to that several have used: first | skip | all"
    )
    anonymous_events: Literal["profiles", "personless"] = Field(
        "profiles", description="Whether events without a user id make persons; personless ones cost less"
    )
    identity_map: IdentityMap | None = Field(None, description="Old ids, and the ids persons have in PostHog now")
    repeats: Literal["keep", "collapse"] = Field(
        "keep", description="Equal records without ids: all are kept, or all but one rejected"
    )
    first_time: list[str] = Field(
        default_factory=list,
        description="Events, by their names in the source, that get $is_first_time; materialize history_facts first",
    )
    first_events: dict[str, str] = Field(
        default_factory=dict,
        description="Event, by its name in the source -> name of an event of its own that is sent beside a person's "
        "first one; likewise",
    )
    since_previous: list[str] = Field(
        default_factory=list,
        description="Events, by their names in the source, that get $seconds_since_previous; likewise",
    )
    sessions: Sessions = Field(
        default_factory=lambda: Sessions(mode="off"),
        description="PostHog's $session_id: auto | off | {idle_minutes: 30}",
    )
    markers: Markers = Field(
        default_factory=lambda: Markers.model_validate({}), description="Names of the properties that trace an event"
    )

    @property
    def asks_history(self) -> bool:
        """Whether events get what only all days together know."""
        return bool(self.first_time or self.first_events or self.since_previous)

    @model_validator(mode="after")
    def _names_first_events(self) -> Mapping:
        for name, first in self.first_events.items():
            if flaw := name_flaw(first):
                raise ValueError(f"first_events.{name}: {flaw}")
            if first == self.events.get(name, name):
                raise ValueError(f"first_events.{name}: {first!r} is the name of the event itself; give another")
            named = self.events.get(name, name)
            for other, its_first in self.first_events.items():
                if its_first != first and named is not None and self.events.get(other, other) == named:
                    raise ValueError(
                        f"first_events: {name!r} and {other!r} are both called {named!r} in PostHog, so their first "
                        "ones need the same name"
                    )
        return self

    @model_validator(mode="after")
    def _leaves_markers(self) -> Mapping:
        taken = sorted({*self.properties.add, *self.properties.rename} & set(self.markers.names))
        if taken:
            raise ValueError(f"properties: {', '.join(taken)} cannot be set: every imported event carries it")
        return self

    transform: str | None = Field(
        None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="my_package.hooks:clean, DataFrame -> DataFrame"
    )
