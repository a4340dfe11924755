"""One staged row becomes one PostHog event.

Belongs here: the order in which the parts of the mapping apply to a batch of rows. Does not belong here: anything that
needs more than one batch (`day`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping as Mapping_
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import json_strings
from posthog_assets.core.errors import ImportFileError, MappingError, shorten
from posthog_assets.core.partitions import Partition, key_of
from posthog_assets.core.posthog_rules import event_flaws, id_flaws, name_flaw, span_flaws, storable, with_groups
from posthog_assets.core.schemas import POSTHOG_EVENTS, TIMESTAMP
from posthog_assets.dialects.base import Dialect
from posthog_assets.mapping import person_properties as people
from posthog_assets.mapping.group_types import GroupTypes
from posthog_assets.mapping.groups import Group, states_of_other_types, with_other_types
from posthog_assets.mapping.history import FirstEvents, HistoryWriter
from posthog_assets.mapping.identity import Pair
from posthog_assets.mapping.kinds import as_posthog_calls
from posthog_assets.mapping.properties import PropertyWriter
from posthog_assets.mapping.sessions import SessionWriter, without_hidden
from posthog_assets.mapping.settings import Mapping
from posthog_assets.mapping.steps.base import Files
from posthog_assets.mapping.steps.runner import Runner
from posthog_assets.mapping.uuids import uuids5, verbatim


class EventMapper:
    """The mapping of one import, applied to one day.

    *fetched_at* is when the day was exported: later instants cannot be true. *identity_map* has the ids that
    `mapping.identity_map` names, *files* opens what steps need. Events before *since*, and
    from *until* on, are rejected. *facts* are what all days together know of this one (`DAY_FACTS`). Pure: no files, no
    network, no clock of its own.
    """

    def __init__(
        self,
        mapping: Mapping,
        import_name: str,
        dialect: Dialect,
        *,
        day: Partition,
        fetched_at: datetime,
        identity_map: Mapping_[str, str] | None = None,
        files: Files | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        facts: pa.Table | None = None,
    ) -> None:
        self._since, self._until = since, until
        self.namespace = dialect.uuid_namespace(import_name)
        self.may_identify = mapping.identify and dialect.links_identities
        self.shared_devices = mapping.shared_devices
        self.may_describe_groups = dialect.describes_groups
        self.collapses_repeats = mapping.repeats == "collapse"
        self.replaces_versions = dialect.replaces_versions
        self._mapping = mapping
        self._identity_map = identity_map or {}
        self._verbatim = dialect.verbatim_uuid
        self._day = key_of(day)
        self._fetched_at = fetched_at
        self._properties = PropertyWriter(mapping, import_name, dialect.type.rsplit(".", 1)[-1], self._day)
        #: The steps; None where there are none.
        self.steps = Runner(mapping.steps, files) if mapping.steps else None
        #: What writes `$session_id`; None where sessions are off.
        self.sessions = SessionWriter(mapping.sessions, dialect) if mapping.sessions.mode == "auto" else None
        self._dialect = dialect
        self._history = HistoryWriter(mapping, facts) if facts is not None and mapping.asks_history else None
        #: What makes events of persons' first ones; None where none are wanted, or nothing is known of them.
        self.first_events = (
            FirstEvents(mapping, facts, self.namespace) if facts is not None and mapping.first_events else None
        )
        #: Whether events have properties that come of other events: these are no part of what tells repeats apart.
        self.adds_context = self.sessions is not None or self._history is not None
        self._hook = load_hook(mapping.transform) if mapping.transform else None
        #: Whether an event that was mapped until now names a group, and of which types those are that are sent.
        self.names_groups = False
        self.group_types = GroupTypes()
        #: Whether events may come out in another order of time than they went in.
        self.moves_time = self._hook is not None

    def prepared(self, staged: pa.RecordBatch) -> pa.RecordBatch:
        """Return staged rows with the ids persons have in PostHog, and what is said of them where it is to be."""
        staged = self._renamed(staged)
        if self._mapping.groups:
            staged = with_other_types(staged, self._mapping.groups)
        if self.sessions is None:
            staged = without_hidden(staged, self._dialect)
        if not self._mapping.person_properties.is_plain:
            staged = people.with_person_properties_placed(staged, self._mapping.person_properties)
        if self._mapping.anonymous_events == "personless":
            staged = people.personless(staged)
        return staged

    def identified(self, staged: pa.RecordBatch) -> pa.RecordBatch:
        """Return staged rows, of which some columns suffice, with the ids persons have in PostHog."""
        return self.pseudonymous(self._renamed(staged))

    def _renamed(self, staged: pa.RecordBatch) -> pa.RecordBatch:
        return people.renamed(staged, self._identity_map) if self._identity_map else staged

    def map(self, staged: pa.RecordBatch, *, plain: bool = False) -> pa.RecordBatch:
        """Return one `POSTHOG_EVENTS` row per (prepared) staged row that is not rejected, in the same order.

        *plain* leaves out sessions, facts of other days, the steps and the user's own function: what the event would
        be without them.
        """
        sources = staged["source_id"]
        uuids = verbatim(self.namespace, sources) if self._verbatim else uuids5(self.namespace, sources.to_pylist())
        steps = self.steps if not plain else None
        staged = self.pseudonymous(staged) if steps else staged
        if self.sessions is not None and not plain:
            staged = self.sessions.write(staged)
        elif self.sessions is not None:
            staged = without_hidden(staged, self._dialect)
        if self._history is not None and not plain:
            staged = self._history.write(staged)
        staged, reasons = as_posthog_calls(staged)
        events = self._names(staged["event"], reasons)
        ids = pc.utf8_trim_whitespace(pc.coalesce(staged["user_id"], staged["anonymous_id"]))
        if steps:
            staged, events = steps.run(staged, events, ids, reasons)
        properties = self._properties.write(staged)
        self._add_flaws(reasons, events, ids, staged["timestamp"], properties)
        batch = pa.RecordBatch.from_arrays(
            [
                uuids,
                events,
                ids,
                staged["timestamp"],
                properties,
                staged["source_id"],
                _reasons(reasons, len(staged)),
                staged["raw_part"],
                staged["raw_line"],
            ],
            schema=POSTHOG_EVENTS,
        )
        return self._transformed(batch) if self._hook and not plain else batch

    def pseudonymous(self, staged: pa.RecordBatch) -> pa.RecordBatch:
        """Return *staged* with the ids of persons as the steps want them."""
        return self.steps.pseudonymous(staged) if self.steps else staged

    def _names(self, names: pa.Array, reasons: dict[int, str]) -> pa.Array:
        coded = names.dictionary_encode()
        known = coded.dictionary.to_pylist()
        wished = [self._mapping.events.get(name, name) for name in known]
        flaws: dict[int, str] = {}
        for index, (old, new) in enumerate(zip(known, wished, strict=True)):
            flaw = f"excluded by mapping.events: {old}" if new is None else name_flaw(new)
            if flaw:
                flaws[index] = flaw
        if flaws:
            for row, code in enumerate(coded.indices.to_pylist()):
                if code in flaws:
                    reasons.setdefault(row, flaws[code])
        return pa.array(
            [new if new is not None else old for old, new in zip(known, wished, strict=True)], pa.string()
        ).take(coded.indices)

    def with_other_types(self, states: dict[Group, tuple[int, str]]) -> dict[Group, tuple[int, str]]:
        """Return what is known of groups, by the types that the mapping wants."""
        return states_of_other_types(states, self._mapping.groups) if self._mapping.groups else states

    def derived(self, pairs: dict[Pair, int], groups: dict[Group, tuple[int, str]]) -> pa.RecordBatch:
        """Return one `$identify` per pair and one `$groupidentify` per group, oldest first."""
        parts = [self._group_calls(groups)] if groups else []
        parts += [self._identify_calls(pairs)] if pairs else []
        made = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
        if len(parts) > 1:
            # Stable: of one instant, groups come first.
            made = made.take(pa.array(np.argsort(made["timestamp"].cast(pa.int64()).to_numpy(), kind="stable")))
        count, nothing = len(made), pa.nulls(len(made), pa.string())
        stage = made.drop_columns(["event"])
        events, ids = made["event"], stage["user_id"]
        reasons = span_flaws(stage["timestamp"], self._since, self._until)
        if self.steps:
            reasons |= id_flaws(ids)
            stage, events = self.steps.run(stage, events, ids, reasons)
        written = self._properties.write(stage)
        self._add_flaws(reasons, events, ids, stage["timestamp"], written)
        return pa.RecordBatch.from_arrays(
            [
                uuids5(
                    self.namespace,
                    pc.binary_join_element_wise(made["event"], made["source_id"], " ").to_pylist(),
                ),
                events,
                ids,
                stage["timestamp"],
                written,
                nothing,
                _reasons(reasons, count),
                nothing,
                pa.nulls(count, pa.int64()),
            ],
            schema=POSTHOG_EVENTS,
        )

    def _identify_calls(self, pairs: dict[Pair, int]) -> pa.RecordBatch:
        """Return one `$identify` per pair as a staged row, oldest first; its source id is what its uuid is made of."""
        anonymous, users = (pa.array(ids, pa.string()) for ids in zip(*pairs, strict=True))
        rows = pa.RecordBatch.from_arrays(
            [pa.array(pairs.values(), pa.int64()), users, anonymous], names=["timestamp", "user_id", "anonymous_id"]
        )
        rows = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in rows.schema.names]))
        user, other = json_strings(rows["user_id"]), json_strings(rows["anonymous_id"])
        return _calls(
            "$identify",
            rows["timestamp"],
            pc.binary_join_element_wise('{"$anon_distinct_id":', other, "}", ""),
            pc.binary_join_element_wise("[", user, ",", other, f",{orjson.dumps(self._day).decode()}]", ""),
            rows["user_id"],
            rows["anonymous_id"],
        )

    def _group_calls(self, groups: dict[Group, tuple[int, str]]) -> pa.RecordBatch:
        """Return one `$groupidentify` per group as a staged row, oldest first."""
        rows = sorted((stamp, kind, key, properties) for (kind, key), (stamp, properties) in groups.items())
        said = [
            {"$group_type": kind, "$group_key": key, "$group_set": orjson.Fragment(properties)}
            for _, kind, key, properties in rows
        ]
        places = [[kind, key, self._day] for _, kind, key, _ in rows]
        return _calls(
            "$groupidentify",
            pa.array([stamp for stamp, *_ in rows], pa.int64()),
            pa.array([orjson.dumps(properties).decode() for properties in said], pa.string()),
            pa.array([orjson.dumps(place).decode() for place in places], pa.string()),
            pa.array([f"${kind}_{key}" for _, kind, key, _ in rows], pa.string()),
            pa.nulls(len(rows), pa.string()),
        )

    def _transformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Apply the user's own function; a row it leaves out stays, rejected."""
        # Half a second to import, for those who have such a function.
        import pandas as pd

        frame = batch.to_pandas()
        frame["properties"] = [orjson.loads(text) for text in frame["properties"]]
        sendable = frame[frame["reject_reason"].isna()]
        try:
            assert self._hook is not None
            result = self._hook(sendable.copy())
            if not isinstance(result, pd.DataFrame):
                raise TypeError(f"it returned {type(result).__name__}, not a DataFrame")
            for column in frame.columns:
                frame.loc[result.index, column] = result[column]
            gone = sendable.index.difference(result.index)
            frame.loc[gone, "reject_reason"] = "removed by mapping.transform"
            frame["properties"] = [orjson.dumps(item, default=str).decode() for item in frame["properties"]]
            changed = pa.RecordBatch.from_pandas(frame, schema=POSTHOG_EVENTS, preserve_index=False)
        except Exception as error:
            raise MappingError(
                f"mapping.transform {self._mapping.transform} failed: {type(error).__name__}: {shorten(str(error))}"
            ) from error
        return self._checked(changed)

    def _checked(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Hold what the user's function made against PostHog's rules again."""
        reasons = {index: reason for index, reason in enumerate(batch["reject_reason"].to_pylist()) if reason}
        self._add_flaws(reasons, *(batch[name] for name in ("event", "distinct_id", "timestamp", "properties")))
        column = batch.schema.get_field_index("reject_reason")
        return batch.set_column(column, "reject_reason", _reasons(reasons, len(batch)))

    def _add_flaws(
        self, reasons: dict[int, str], names: pa.Array, ids: pa.Array, stamps: pa.Array, properties: pa.Array
    ) -> None:
        """Add to *reasons* why an event is not to be sent, where there is no reason yet."""
        grouped = with_groups(names, properties)
        self.names_groups = self.names_groups or grouped is not None
        flaws = event_flaws(names, ids, stamps, properties, self._fetched_at, grouped)
        for index, flaw in (span_flaws(stamps, self._since, self._until) | flaws).items():
            reasons.setdefault(index, flaw)

    def with_storable_times(self, staged: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows whose time PostHog can store: nothing is derived from the others."""
        good = storable(staged["timestamp"], self._fetched_at)
        return staged if good is None else staged.filter(good)


def _calls(
    event: str, stamps: pa.Array, properties: pa.Array, sources: pa.Array, users: pa.Array, anonymous: pa.Array
) -> pa.RecordBatch:
    """Return calls that no record makes as staged rows, with their event's name; *stamps* are µs since 1970."""
    nothing = pa.nulls(len(stamps), pa.string())
    columns = {
        "event": pa.repeat(pa.scalar(event, pa.string()), len(stamps)), "properties": properties, "source_id": sources,
        "set": nothing, "set_once": nothing, "groups": nothing, "timestamp": stamps.cast(TIMESTAMP), "user_id": users,
        "anonymous_id": anonymous,
    }  # fmt: skip
    return pa.RecordBatch.from_pydict(columns)


def _reasons(reasons: dict[int, str], count: int) -> pa.Array:
    if not reasons:
        return pa.nulls(count, pa.string())
    return pa.array([reasons.get(index) for index in range(count)], pa.string())


def load_hook(path: str) -> Any:
    """Return the user's own function, `my_package.hooks:clean`; raises ImportFileError."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ImportFileError(f"mapping.transform {path!r} cannot be imported: {error}") from error
