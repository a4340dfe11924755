"""The `traces` section of the import file: what an import leaves in PostHog beside its events.

Belongs here: which traces are wanted. Does not belong here: leaving them (`pipeline.traces`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator
from pydantic.json_schema import JsonSchemaValue

from posthog_assets.core.sections import Section


class Described(Section):
    """What PostHog is to say of one event name. A text may stand for a section that is only a description."""

    short_form: ClassVar[JsonSchemaValue] = {"type": "string"}

    description: str | None = Field(None, min_length=1, max_length=2_000, description="Shown beside the event's name")
    tags: list[str] = Field(default_factory=list, description="Added to the tags that are there")
    verified: bool = Field(False, description="Mark the event as verified; it is never marked as unverified")

    @model_validator(mode="before")
    @classmethod
    def _one_text_is_the_description(cls, value: Any) -> Any:
        return {"description": value} if isinstance(value, str) else value


class Traces(Section):
    """What an import leaves in PostHog beside its events: nothing by default. Each needs a scope of its own."""

    annotation: bool = Field(False, description="An annotation where the imported history ends; scope annotation:write")
    cohort: bool = Field(False, description="A static cohort of the imported persons; scope cohort:write")
    describe: dict[str, Described] = Field(
        default_factory=dict,
        description="Event name in PostHog -> its description, or description, tags and verified; scope "
        "event_definition:write",
    )

    @property
    def wanted(self) -> bool:
        """Whether anything is to be left."""
        return bool(self.annotation or self.cohort or self.describe)
