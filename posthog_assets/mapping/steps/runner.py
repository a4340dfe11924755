"""Rows become events, go through the steps, and become rows again.

Belongs here: parsing each row once, the order of the steps, what they may not touch. Does not belong here: any step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
import pyarrow as pa

from posthog_assets.core.errors import ImportFileError, MappingError, PosthogAssetsError, shorten
from posthog_assets.core.posthog_rules import name_flaw
from posthog_assets.core.rejection import Rejected
from posthog_assets.mapping.kinds import HELD
from posthog_assets.mapping.steps.base import Apply, Bag, Event, Files, Step
from posthog_assets.mapping.steps.linked_ids import Links

_CHANGED: Final = ("properties", "set", "set_once", "groups")
_NOTHING: Final[tuple[str, ...]] = ()


class _NoFiles:
    def read(self, path: str) -> bytes:
        raise ImportFileError(f"mapping.steps: {path} cannot be opened here")

    ip_lookup: Any = read


class _Failed(Exception):
    def __init__(self, label: str, error: Exception) -> None:
        super().__init__(label)
        self.words = f"{type(error).__name__}: {shorten(str(error))}"


class Runner:
    """The steps of one import, ready for one day."""

    def __init__(self, steps: Sequence[Step], files: Files | None) -> None:
        self._plan: list[tuple[frozenset[str] | None, Apply, str]] = [
            (
                frozenset(step.events) or None,
                step.ready(files or _NoFiles()),
                f"mapping.steps.{index} ({_called(step)})",
            )
            for index, step in enumerate(steps)
        ]
        self._renaming = [step for step in steps if step.changes_ids]
        #: Whether the ids that the day links must be known first.
        self.needs_links = any(step.needs_links for step in steps)
        self.links = Links()
        # Where every step names its events, the others need not be parsed.
        named = [names for names, _, _ in self._plan]
        self._concerned = frozenset[str]().union(*filter(None, named)) if all(named) else None

    def learn(self, staged: pa.RecordBatch) -> None:
        """Take in which ids a batch of staged rows links."""
        self.links.add(self.pseudonymous(staged))

    def pseudonymous(self, staged: pa.RecordBatch) -> pa.RecordBatch:
        """Return *staged* with the ids of persons as the steps want them."""
        if not self._renaming:
            return staged
        for column in ("user_id", "anonymous_id"):
            coded = staged[column].dictionary_encode()
            known = coded.dictionary.to_pylist()
            for step in self._renaming:
                known = [step.pseudonym(one) for one in known]
            at = staged.schema.get_field_index(column)
            staged = staged.set_column(at, staged.schema.field(at), pa.array(known, pa.string()).take(coded.indices))
        return staged

    def run(
        self, staged: pa.RecordBatch, names: pa.Array, ids: pa.Array, reasons: dict[int, str]
    ) -> tuple[pa.RecordBatch, pa.Array]:
        """Return *staged* and the events' names after the steps; rows that have a reason already stay as they are.

        *staged* has the columns properties, set, set_once, groups, timestamp, user_id and anonymous_id; *ids* are the
        distinct_ids. What steps reject is added to *reasons*.
        """
        columns = {column: staged[column].to_pylist() for column in _CHANGED}
        stamps = staged["timestamp"].cast(pa.int64()).to_pylist()
        users, anonymous = staged["user_id"].to_pylist(), staged["anonymous_id"].to_pylist()
        called = names.to_pylist()
        for index, (name, distinct_id) in enumerate(zip(called, ids.to_pylist(), strict=True)):
            if index in reasons or (self._concerned is not None and name not in self._concerned):
                continue
            event = Event(
                name,
                distinct_id,
                stamps[index],
                orjson.loads(columns["properties"][index] or "{}"),
                user_id=users[index],
                anonymous_id=anonymous[index],
                linked_ids=self.links.of(distinct_id) if self.needs_links else (),
            )
            if text := columns["set"][index]:
                event.set = orjson.loads(text)
            if text := columns["set_once"][index]:
                event.set_once = orjson.loads(text)
            if text := columns["groups"][index]:
                event.groups = orjson.loads(text)
            try:
                made = self._through(event)
            except Rejected as reason:
                reasons[index] = str(reason)
                continue
            except _Failed as failed:
                raise MappingError(f"{failed.args[0]} failed on {_place(staged, index)}: {failed.words}") from failed
            for column, text in zip(_CHANGED, made, strict=True):
                columns[column][index] = text
            if event.name is not name:
                if flaw := name_flaw(event.name):
                    reasons[index] = flaw
                else:
                    called[index] = event.name
        for column, texts in columns.items():
            if staged[column].null_count != len(staged) or any(text is not None for text in texts):
                at = staged.schema.get_field_index(column)
                staged = staged.set_column(at, staged.schema.field(at), _texts(texts))
        return staged, pa.array(called, pa.string())

    def _through(self, event: Event) -> tuple[bytes | None, ...]:
        """Return the JSON of what the steps change, in the order of `_CHANGED`."""
        held: Bag = {}
        for key in HELD.get(event.name, _NOTHING):
            if key in event.properties:
                held[key] = event.properties.pop(key)
        if isinstance(held.get("$group_set"), dict):
            event.group_set = held["$group_set"]
        for names, apply, label in self._plan:
            if names is None or event.name in names:
                try:
                    apply(event)
                except (Rejected, PosthogAssetsError):
                    raise
                except Exception as error:
                    raise _Failed(label, error) from error
        if "$group_type" in held and (event.group_set or isinstance(held.get("$group_set"), dict)):
            held["$group_set"] = event.group_set
        for key in held:
            event.properties.pop(key, None)
        for key in event.set.keys() & event.set_once.keys():
            # As in staged rows: what is known for the first time stays that.
            del event.set[key]
        return self._dumped(event, held)

    def _dumped(self, event: Event, held: Bag) -> tuple[bytes | None, ...]:
        dumps = orjson.dumps
        try:
            return (
                dumps(held | event.properties if held else event.properties),
                dumps(event.set) if event.set else None,
                dumps(event.set_once) if event.set_once else None,
                dumps(event.groups) if event.groups else None,
            )
        except (TypeError, orjson.JSONEncodeError) as error:
            raise Rejected(f"properties cannot be written as JSON: {shorten(str(error))}") from None


def _place(staged: pa.RecordBatch, index: int) -> str:
    if "raw_part" not in staged.schema.names:
        return "a derived event"
    return f"the record {staged['raw_part'][index]}:{staged['raw_line'][index]}"


def _called(step: Step) -> str:
    return step.step if step.step != "custom" else f"{type(step).__module__}.{type(step).__name__}"


def _texts(texts: list[Any]) -> pa.Array:
    """Return JSON as text; orjson writes valid UTF-8, so its bytes are text as they stand."""
    return pa.array([text.encode() if isinstance(text, str) else text for text in texts], pa.binary()).view(pa.string())
