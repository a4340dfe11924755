"""What an import file says of an endpoint: what to ask, for whom, and where the records are in the answer.

Belongs here: the sections `endpoint` and `for_each`. Does not belong here: asking (`client`, `pages`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from posthog_assets.core.sections import Section
from posthog_assets.sources.formats.json_paths import steps_of
from posthog_assets.sources.rest.client import ResponseAction, named_paginator
from posthog_assets.sources.rest.paginators import Paginator
from posthog_assets.sources.rest.requests import placeholders
from posthog_assets.sources.rest.windows import Incremental


class Asking(Section):
    """A path and what is asked of it."""

    path: str = Field("", description="Below base_url, or a whole URL of the same host")
    method: Literal["GET", "POST"] = Field("GET", description="How it is asked")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of the address")
    body: dict[str, Any] | None = Field(None, alias="json", description="Sent as JSON; for search endpoints")
    data_selector: str = Field("$", description="Path of the list of records in the answer; $: the answer is the list")
    missing_data: Literal["error", "empty"] = Field(
        "error", description="What an answer without anything at data_selector is"
    )
    paginator: Paginator | None = Field(None, description="Absent: client.paginator")
    response_actions: tuple[ResponseAction, ...] = Field(
        (), description="What answers of a certain status or text mean"
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return named_paginator(value)

    @field_validator("data_selector")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        steps_of(value)
        return value

    @property
    def placeholders(self) -> set[str]:
        return placeholders([self.path, self.params, self.body or {}])


class Endpoint(Asking):
    """Where the records are."""

    incremental: Incremental | None = Field(None, description="How a day is asked for")
    primary_key: tuple[str, ...] | None = Field(
        None, description="Path, or paths, of what identifies a record: what comes twice is read once; []: nothing does"
    )
    key_field: str | None = Field(
        None,
        min_length=1,
        description="Field that each record gets, for dialect.source_id: its parent and its primary_key as one text",
    )
    total_path: str | None = Field(
        None, description="Path of the number of records a query has in all, for max_rows_per_window"
    )

    @field_validator("primary_key", mode="before")
    @classmethod
    def _is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_a_key(self) -> Endpoint:
        if self.key_field and not self.primary_key:
            raise ValueError("key_field needs primary_key, which says what it is made of")
        return self

    @field_validator("primary_key")
    @classmethod
    def _are_paths(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for path in value or ():
            steps_of(path)
        return value

    @property
    def bounded_ends(self) -> set[str]:
        """Which ends of a window the API is asked for: `start`, `end`, both, or neither."""
        written = {end for end in ("start", "end") if f"incremental.{end}_value" in self.placeholders}
        return written | (self.incremental.end_params.keys() if self.incremental else set())


class ForEach(Asking):
    """The endpoint is asked once for each of these: values written here, or what another endpoint lists.

    `{name}` in the endpoint's path, parameters or body is the value; each record gets it as `_name`, and the fields
    in `include` as `_name_field`.
    """

    name: str = Field(pattern=r"^[A-Za-z_]\w*$", description="What the placeholder is called")
    values: tuple[str, ...] | None = Field(None, min_length=1, description="The values themselves, instead of a path")
    field: str = Field("id", description="Path of the value in each record of the list")
    include: tuple[str, ...] = Field((), description="Further fields of the list's records, for the endpoint's records")
    encode_slashes: bool = Field(False, description="Write / in a value as %2F in the path")

    @field_validator("values", mode="before")
    @classmethod
    def _are_texts(cls, value: Any) -> Any:
        found = [value] if isinstance(value, str | int) else value
        return [str(item) for item in found] if isinstance(found, list | tuple) else found

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> ForEach:
        if bool(self.values) == bool(self.path):
            raise ValueError("needs either values, a list, or path, an endpoint that lists them")
        if self.values and self.include:
            raise ValueError("include belongs to path: values have no fields")
        return self
