"""What a dialect is: one vendor's record becomes one staged row.

Belongs here: the machinery every dialect shares. Does not belong here: any vendor.
"""

from __future__ import annotations

import hashlib
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, Literal, NamedTuple, Self

import orjson
import pyarrow as pa
from pydantic import Field, PrivateAttr

from posthog_assets.core.instants import Window
from posthog_assets.core.json_text import dump_exactly, dump_numbers, rounded
from posthog_assets.core.records import RecordChunk
from posthog_assets.core.schemas import STAGED_EVENTS, STAGED_VERSIONS
from posthog_assets.core.sections import Section
from posthog_assets.dialects.column import exact
from posthog_assets.dialects.column_kinds import Kind
from posthog_assets.dialects.record import nested

#: Marks a source id that stands for the record's content, because the record has no id of its own.
CONTENT: Final = "content:"

#: The edition that new import files name.
NEWEST_EDITION: Final = 2

#: The root of all uuids this project makes; part of the contract with everything imported so far.
NAMESPACE: Final = uuid.UUID("6f1d8c9e-4f0b-5c8a-9f6e-2f6f3b1a7d42")


class SessionField(NamedTuple):
    """Where a staged row says which of the source's sessions it belongs to, for `mapping.sessions`."""

    #: The staged property.
    property: str
    #: Its unit, where it is the time at which the session started.
    starts: Literal["s", "ms"] | None = None
    #: Whether it is staged for sessions alone, and no property of the event where they are off.
    hidden: bool = False


class Dialect(Section, ABC):
    """How one record reads. Subclasses implement `stage`."""

    type: str = "custom"
    namespace: str | None = Field(None, description="Replaces the import's name in the uuids")
    edition: Literal[1, 2] = Field(
        1,
        description="Edition of the rules by which records read. 1: those of release 0.1, which keep what is imported "
        "already as it is; 2, for new imports: those of release 0.2, see the page of the dialect",
    )
    keep_unset: bool = Field(False, description="Import $unset, which deletes properties of living people")

    big_numbers: Literal["text", "number"] = Field(
        "text",
        description="What whole numbers above 2^53 become, which PostHog's pipeline would round: text with all digits, "
        "or numbers all the same, up to 64 bits",
    )

    #: Whether the source's id, where it is a uuid, is PostHog's uuid as it stands.
    verbatim_uuid: ClassVar[bool] = False

    #: Whether records of one UTC day, event, person and id are versions of one event, of which the newest counts;
    #: staged rows then say when each was stored.
    replaces_versions: ClassVar[bool] = False

    #: Whether records may tell the properties of their groups.
    describes_groups: ClassVar[bool] = False

    #: Where records name their session; None where the vendor has none.
    session: ClassVar[SessionField | None] = None

    #: Hours after the end of a day until its records are final, wherever they are kept.
    final_after_hours: ClassVar[int] = 0

    #: Path of the setting that says the zone of times without one; None where the vendor's times need none.
    timezone_setting: ClassVar[str | None] = None

    _window: Window | None = PrivateAttr(None)
    _kinds: Mapping[str, Kind] = PrivateAttr(default_factory=dict)

    def within(self, window: Window) -> Self:
        """Return the same dialect, for records whose times lie in *window*: what a number without a unit may mean."""
        other = self.model_copy()
        other._window = window
        return other

    def with_column_kinds(self, kinds: Mapping[str, Kind]) -> Self:
        """Return the same dialect, for records of CSV whose columns hold *kinds*."""
        other = self.model_copy()
        other._kinds = kinds
        return other

    @property
    def texts_of_nothing(self) -> frozenset[str]:
        """The texts of CSV that mean there is no value."""
        return frozenset({""})

    @property
    def day_columns(self) -> tuple[str, ...]:
        """The columns that may say a record's day where one file holds all days, the best one first."""
        return ()

    @property
    def time_column(self) -> str | None:
        """The column of the events' time, where it is a setting."""
        return None

    @property
    def time_form(self) -> tuple[str | None, str | None]:
        """The strptime pattern and the unit by which the time column reads, where these are settings."""
        return None, None

    @property
    def given_timezone(self) -> str | None:
        """The zone of times without one, where the import file says it."""
        return None

    def with_timezone(self, zone: str) -> Self:
        """Return the same dialect, with *zone* as that of times without one."""
        return self

    #: A list in each of the vendor's records, the members of which are the events (`source.unfold`).
    unfolds: ClassVar[str | None] = None

    @classmethod
    def recognize(cls, record: dict[str, Any]) -> tuple[str, ...]:
        """Return the fields by which *record* shows that this dialect reads it; none where it does not show it.

        More fields mean a closer match. No record may make it raise.
        """
        return ()

    @abstractmethod
    def stage(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        """Return one row of `staged_schema` per record of *chunk*, in order."""

    def batches(self, chunk: RecordChunk, part: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows that `stage` returns, in order, in batches that fit into memory."""
        yield self.stage(chunk, part)

    @property
    def events_per_record(self) -> int:
        """How many events a record may become, each with the record's properties."""
        return 1

    @property
    def staged_schema(self) -> pa.Schema:
        """The columns of the staged rows."""
        return STAGED_VERSIONS if self.replaces_versions else STAGED_EVENTS

    @property
    def dumps(self) -> Callable[[Any], bytes]:
        """What writes the values of a record as JSON; raises TypeError for what JSON has no room for."""
        return dump_exactly if self.big_numbers == "text" else dump_numbers

    def id_of_content(self, record: dict[str, Any]) -> str:
        """Return an id for a record that has none; in edition 2 it is the same in CSV, where all values are text."""
        return content_id(record if self.edition == 1 else _values(record))

    @property
    def dump_option(self) -> int | None:
        """The option of orjson with which it raises TypeError for whole numbers that are to be text."""
        return orjson.OPT_STRICT_INTEGER if self.big_numbers == "text" else None

    def uuid_namespace(self, import_name: str) -> uuid.UUID:
        """Return the namespace of this import's uuids: the vendor's convention, or one per import name."""
        return uuid.uuid5(NAMESPACE, self.namespace or import_name)

    @property
    def links_identities(self) -> bool:
        """Whether records may carry both an anonymous and a user id."""
        return False


def _values(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a record's texts say, as objects, numbers and booleans, and no fields without a value."""
    said = {key: value for key, value in record.items() if value is not None and value != ""}
    return {key: _value(value) if type(value) is str else value for key, value in said.items()}


def _value(text: str) -> Any:
    found = nested(text)
    return exact(found) if type(found) is str else found


def content_id(record: Any) -> str:
    """Return an id made of a record's content, or of what tells it from others.

    It is the same whatever the order of the keys or the file's format.
    """
    option = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    try:
        text = orjson.dumps(record, option=option, default=str)
    except TypeError:
        # Ids do not change by what is read more exactly than before.
        text = orjson.dumps(rounded(record), option=option, default=str)
    return CONTENT + hashlib.blake2b(text, digest_size=16).hexdigest()
