"""One import, as its file describes it.

Belongs here: the whole of the import file, and the words that explain a wrong one. Does not belong here: Dagster
(`component`), or what any section does (its own room).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from collections.abc import Mapping as MappingABC
from datetime import date
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from posthog_assets.core.errors import ImportFileError, shorten
from posthog_assets.core.field_errors import Path
from posthog_assets.core.sections import Choices, Section, explain
from posthog_assets.destination.settings import Destination
from posthog_assets.dialects import DIALECT_SCHEMAS, Dialect, load_dialect
from posthog_assets.mapping import Mapping
from posthog_assets.mapping.version import mapping_version
from posthog_assets.pipeline.config.automation import Automation
from posthog_assets.pipeline.config.people import People
from posthog_assets.pipeline.config.rejects import Rejects
from posthog_assets.pipeline.config.retention import Retention
from posthog_assets.pipeline.config.source_counts import SourceCounts
from posthog_assets.pipeline.config.time_zones import with_agreed_time_zone
from posthog_assets.pipeline.config.traces import Traces
from posthog_assets.pipeline.config.trial import Trial
from posthog_assets.sources import SOURCES, Source, load_source
from posthog_assets.sources.base import Scope
from posthog_assets.sources.rest.recipes import recipe_of, written_secrets
from posthog_assets.storage.store import Store

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}")
#: What Dagster takes as an owner.
_OWNER = re.compile(r"team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")


def default_storage() -> str:
    """Return where imports are stored unless their file says otherwise: $POSTHOG_ASSETS_STORAGE, else ./data."""
    return os.environ.get("POSTHOG_ASSETS_STORAGE") or "data"


def _same_project(one: Destination, other: Destination) -> bool:
    return bool(one.project_api_key) and (one.host, one.project_api_key) == (other.host, other.project_api_key)


class Import(Section):
    """One import: where the events are, how they read, what they become, and which project gets them."""

    name: str = Field(description="Prefix of the asset keys and name of the storage folder")
    start_date: date = Field(description="First day of history")
    end_date: date | None = Field(None, description="Last day; absent: every day that is over (UTC)")
    since: AwareDatetime | None = Field(
        None, description="Import only events from this instant on, such as 2024-01-01T00:00:00+01:00"
    )
    until: AwareDatetime | None = Field(
        None, description="Import only events before this instant: when live tracking began, 2024-03-01T12:00:00Z"
    )
    storage: str | None = Field(None, description="Folder or fsspec URL; default $POSTHOG_ASSETS_STORAGE, else ./data")
    storage_options: dict[str, Any] = Field(default_factory=dict, description="Passed to fsspec", repr=False)
    owners: list[str] = Field([], description="Who answers for it: mail addresses, or team:name; Dagster shows them")
    first_rows: bool = Field(True, description="Show the first events of each day in Dagster; off keeps them out of it")
    history_facts: bool = Field(
        False, description="Offer the asset history_facts: what only all days together know of persons and devices"
    )
    processes: int | None = Field(
        None,
        ge=1,
        description="Most processes that stage one day; default: one a core, four at most; 1: none of its own",
    )
    source: Annotated[SerializeAsAny[Source], BeforeValidator(load_source), Choices(SOURCES)] = Field(
        description="How bytes are fetched; `type` chooses the source"
    )
    dialect: Annotated[SerializeAsAny[Dialect], BeforeValidator(load_dialect), Choices(DIALECT_SCHEMAS)] = Field(
        None,
        validate_default=True,
        description="How one record reads; `type` chooses the dialect; a recipe's source brings its own",
    )
    mapping: Mapping = Field(
        default_factory=lambda: Mapping.model_validate({}), description="What records are to be in PostHog"
    )
    people: People | None = Field(None, description="What is known of the users themselves, sent after the events")
    destination: Destination = Field(
        default_factory=lambda: Destination.model_validate({}), description="Which PostHog project gets the events"
    )
    automation: Automation = Field(
        default_factory=lambda: Automation.model_validate({}),
        description="What runs by itself, and how often",
    )
    retention: Retention = Field(
        default_factory=lambda: Retention.model_validate({}), description="How long files of imported days stay"
    )
    rejects: Rejects = Field(
        default_factory=lambda: Rejects.model_validate({}),
        description="How many records of a day may be rejected before it has a warning, or its check fails",
    )
    source_counts: SourceCounts | None = Field(
        None, description="The source's own numbers, by day and event, that the import is compared with"
    )
    traces: Traces | None = Field(
        None, description="What the import leaves in PostHog beside its events: annotation, cohort, descriptions"
    )
    trial: Trial | None = Field(None, description="A sample of persons into a test project, beside the import")
    _store: Store | None = PrivateAttr(None)
    #: Of what `_store` was opened; None where it was given.
    _opened: tuple[str, str] | None = PrivateAttr(None)
    _raw_owner: str | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _recipe_fills_in(cls, value: Any) -> Any:
        recipe = recipe_of(value) if isinstance(value, dict) else None
        return recipe.with_defaults(value) if recipe else value

    @model_validator(mode="after")
    def _is_consistent(self) -> Import:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name {self.name!r} must be a letter followed by letters, digits and underscores (at most 64)"
            )
        for owner in self.owners:
            if not _OWNER.fullmatch(owner):
                raise ValueError(f"owners: {shorten(owner)} must be a mail address, or team: and a name")
        if self.end_date and self.end_date < self.start_date:
            raise ValueError(f"end_date {self.end_date} lies before start_date {self.start_date}")
        if self.since and self.until and self.until <= self.since:
            raise ValueError(f"until {self.until.isoformat()} does not lie after since {self.since.isoformat()}")
        if self.automation.prune.enabled and not self.retention.prunes:
            raise ValueError("automation.prune has nothing to do: say in retention what may go, such as raw_export: 90")
        if self.trial and _same_project(self.trial.destination, self.destination):
            raise ValueError("trial.destination is the project of the import itself; a trial needs a test project")
        if self.automation.daily.enabled and self.end_date:
            raise ValueError(
                "automation.daily keeps an import going that has no end_date; remove one of the two (the days up to "
                "end_date are imported by new_data, or by materializing them)"
            )
        return self

    @model_validator(mode="after")
    def _share_time_zone_and_delay(self) -> Import:
        """Return the import whose dialect knows the source's zone, and the source when the records are final.

        A source that holds all days knows which are the import's, and how the dialect reads its times.
        """
        scope = Scope(self.start_date, self.end_date, self.dialect.time_column, *self.dialect.time_form)
        source = self.source.final_after(self.dialect.final_after_hours).within(scope)
        dialect = with_agreed_time_zone(source, self.dialect)
        if source is self.source and dialect is self.dialect:
            return self
        return self.model_copy(update={"source": source, "dialect": dialect})

    @classmethod
    def read(
        cls,
        attributes: MappingABC[str, Any],
        where: str = "the import file",
        line_of: Callable[[Path], int | None] | None = None,
    ) -> Import:
        """Return the import that *attributes* describe; *line_of* knows the line of each field in the file.

        Raises:
            ImportFileError: one sentence per problem, each naming the field, what was found and what is allowed.
        """
        try:
            return cls.model_validate(dict(attributes))
        except ValidationError as error:
            problems = "\n".join(
                f"  - {sentence}" for sentence in explain(error, model=cls, given=attributes, line_of=line_of)
            )
            raise ImportFileError(f"{where} is wrong:\n{problems}") from None

    @property
    def mapping_version(self) -> str:
        """Return a text that changes when the same records may become other events."""
        return mapping_version(self.mapping, self.dialect, self.name, self.since, self.until)

    @property
    def store(self) -> Store:
        """Return the folder this import lives in, the same object each time: it keeps what it has downloaded."""
        if self._store is None or self._opened not in (None, (self.storage_url, self.name)):
            self._opened = (self.storage_url, self.name)
            self._store = Store(self.storage_url, self.name, self.storage_options)
        return self._store

    @property
    def storage_url(self) -> str:
        """Return where all imports of this storage live."""
        return self.storage or default_storage()

    @property
    def raw_owner(self) -> str:
        """Return the import whose raw export this one reads: its own, but for a trial."""
        return self._raw_owner or self.name

    def stored_in(self, store: Store, raw_owner: str | None = None) -> Import:
        """Return the same import, living elsewhere, with the raw export of another import where one is named."""
        other = self.model_copy()
        other._store, other._opened, other._raw_owner = store, None, raw_owner
        return other


def refuse_written_secrets(attributes: MappingABC[str, Any], where: str) -> None:
    """Refuse credentials of an API that stand in the import file itself; *attributes* are as they are written.

    Raises:
        ImportFileError: there are some; they are not repeated.
    """
    source = attributes.get("source")
    if isinstance(source, dict) and (paths := written_secrets(source)):
        names = ", ".join(f"source.{path}" for path in paths)
        raise ImportFileError(
            f"{where}: {names} is written out: keep it in an environment variable, and write "
            '"{{ env.NAME_OF_THE_VARIABLE }}" here'
        )
