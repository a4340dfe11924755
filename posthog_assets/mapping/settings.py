"""The `mapping` section of the import file.

Belongs here: what a user can wish for. Does not belong here: how it is done.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator

from posthog_assets.mapping.markers import MARKERS
from posthog_assets.mapping.steps import Step, load_step
from posthog_assets.settings import Settings


class Properties(Settings):
    """What becomes of properties; rename comes first, then drop and keep, then add. A renamed one replaces its like."""

    rename: dict[str, str] = Field(default_factory=dict)
    drop: list[str] = Field(default_factory=list)
    keep: list[str] | None = Field(None, description="Only these, by their new names; absent: all")
    add: dict[str, Any] = Field(
        default_factory=dict, description="Constants; an event's own value of the name is kept out"
    )

    @field_validator("add", "rename")
    @classmethod
    def _leaves_markers(cls, value: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(set(value) & set(MARKERS))
        if taken:
            raise ValueError(f"{', '.join(taken)} cannot be set: every imported event carries it")
        return value


class Mapping(Settings):
    """What records are to be in PostHog."""

    events: dict[str, str | None] = Field(default_factory=dict, description="Old name -> new name; null: not imported")
    steps: list[Annotated[SerializeAsAny[Step], BeforeValidator(load_step)]] = Field(
        default_factory=list, description="Changes to each event, in this order, after `events`, before `properties`"
    )
    properties: Properties = Field(default_factory=lambda: Properties.model_validate({}))
    person_properties: Literal["set", "set_once", "none"] = Field(
        "set_once", description="How the person's properties are sent; set would overwrite living people"
    )
    identify: bool = Field(True, description="Emit $identify for every pair of anonymous and user id, once a day")
    repeats: Literal["keep", "collapse"] = Field(
        "keep", description="Records without ids that are alike: all are kept, or all but one rejected"
    )
    transform: str | None = Field(
        None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="my_package.hooks:clean, DataFrame -> DataFrame"
    )
