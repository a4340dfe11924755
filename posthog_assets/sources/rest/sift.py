"""Which records of a page are the day's, and when the pages that follow hold none any more.

Belongs here: telling records apart by their time and their key, and refusing what an API delivers against what the
import file says of it. Does not belong here: getting pages (`pages`), counting (`tally`).

Of a page's records some are not the part's (`Framing.skip`): those outside the window, which the API's inclusive ends
or its order bring along, and those that an earlier page brought already (`primary_key`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import xxhash

from posthog_assets.core.errors import SourceRefused, shorten
from posthog_assets.core.json_text import dump_line
from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.sources.formats.json_paths import NOTHING, find
from posthog_assets.sources.rest.parents import Parent
from posthog_assets.sources.rest.rules import Rules
from posthog_assets.sources.rest.seen import SeenKeys
from posthog_assets.sources.rest.tally import Tally
from posthog_assets.sources.rest.windows import Incremental, Window

#: The time of a record that has none.
NO_TIME: Final = np.iinfo(np.int64).min


class Sift:
    """Tells which records of each page are the day's, and when the pages that follow hold none any more."""

    def __init__(
        self, rules: Rules, window: Window | None, parent: Parent | None, before: SeenKeys, seen: SeenKeys,
        tally: Tally,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._window = window
        self._parent = parent.value if parent else None
        self._before, self._seen = before, seen
        self.tally = tally
        #: Records of the last page that lie outside the window: how many, the earliest, the latest.
        self.outside: tuple[int, int, int] | tuple[()] = ()
        self.added: Mapping[str, Any] = parent.fields if parent else {}
        endpoint = rules.endpoint
        self.key = (endpoint.key_field, self._parent or "", *(endpoint.primary_key or ())) if endpoint.key_field else ()
        self.last = NO_TIME
        #: Whether no record of the last page lies in the window, and whether none of the next ones can.
        self.is_outside = self.is_past = False

    def sift(self, members: list[Any], last: int = NO_TIME) -> list[bool]:
        """Return for each record of a page whether it is to be skipped.

        *last* is the time of the last record of a page whose records were not kept.
        """
        skip = self._outside(members)
        self.tally.records += len(members)
        if not members and last != NO_TIME:
            self.last = last
        self.is_outside = bool(members) and all(skip)
        keys = self._keys(members)
        mine = {index: key for index, key in keys.items() if not skip[index]}
        if mine:
            texts = list(mine.values())
            known = self._before.holds(texts) | self._seen.holds(texts)
            here: set[bytes] = set()
            for (index, key), is_known in zip(mine.items(), known.tolist(), strict=True):
                skip[index] = is_known or key in here
                self.tally.repeated += skip[index]
                here.add(key)
            self._seen.add(sorted(here))
        return skip

    def _keys(self, members: list[Any]) -> dict[int, bytes]:
        paths = self._rules.endpoint.primary_key
        keys = {}
        for index, member in enumerate(members) if paths else ():
            found = [find(member, path) for path in paths or ()]
            values = [None if value is NOTHING else value for value in found]
            if any(value is not None for value in values):
                text = _key_text([self._parent, *values])
                keys[index] = xxhash.xxh3_128_digest(text)
        return keys

    def _outside(self, members: list[Any]) -> list[bool]:
        incremental = self._rules.endpoint.incremental
        if self._window is None or incremental is None or not members:
            return [False] * len(members)
        values = [find(member, incremental.cursor_path) for member in members]
        times = _micros([None if value is NOTHING else value for value in values], self._rules.zone.key)
        has_time = times != NO_TIME
        start, end = self._window.micros
        early, late = has_time & (times < start), has_time & (times >= end)
        self._check_filter(members, incremental, times, early, late)
        beyond = times[early | late]
        self.outside = (len(beyond), int(beyond.min()), int(beyond.max())) if len(beyond) else ()
        self.tally.without_time += int((~has_time).sum())
        self.tally.add_outside(*self.outside)
        self._check_order(times[has_time], incremental, early, late)
        return (early | late).tolist()

    def _check_filter(
        self, members: list[Any], incremental: Incremental, times: np.ndarray, early: np.ndarray, late: np.ndarray
    ) -> None:
        """Refuse records that lie further outside than the API's inclusive ends explain.

        Else a filter that the API ignores, or another field than it filters by, would lose what belongs to other days.
        """
        if self._rules.outside == "skip":
            return
        assert self._window is not None
        start, end = self._window.micros
        unit = incremental.unit // timedelta(microseconds=1)
        margin = self._rules.margin // timedelta(microseconds=1)
        bounded = self._rules.endpoint.bounded_ends
        low = margin + (unit if self._rules.start_exclusive else 0)
        high = margin + (unit if self._rules.end_inclusive and incremental.unit < timedelta(days=1) else 0)
        wrong = np.zeros(len(members), bool)
        if "start" in bounded:
            wrong |= early & (times < start - low)
        if "end" in bounded:
            wrong |= late & (times > end + high) if high else late
        if wrong.any():
            member = members[int(np.flatnonzero(wrong)[0])]
            raise SourceRefused(
                f"the API was asked for {self._window.start:%Y-%m-%d %H:%M:%S} to "
                f"{self._window.end:%Y-%m-%d %H:%M:%S} UTC and delivers a record with {incremental.cursor_path} = "
                f"{shorten(find(member, incremental.cursor_path), 60)!r}: cursor_path must be the field the API "
                "filters by, start_param and end_param its parameters, source.timezone its zone. (source.outside: skip "
                "leaves such records to their own day)"
            )

    def _check_order(self, times: np.ndarray, incremental: Incremental, early: np.ndarray, late: np.ndarray) -> None:
        """Find out whether what follows is past the window; refuse an order that is not the one that was promised."""
        order = self._rules.order
        if order is None or not len(times):
            return
        full = np.concatenate([[self.last], times]) if self.last != NO_TIME else times
        steps = np.diff(full)
        if (steps > 0 if order == "newest_first" else steps < 0).any():
            raise SourceRefused(
                f"source.order is {order}, but the API delivers records in another order of "
                f"{incremental.cursor_path}: where reading may stop cannot be seen. Ask for that order in "
                "source.endpoint.params, or read with whole: true"
            )
        self.last = int(full[-1])
        self.is_past = bool(early.any() if order == "newest_first" else late.any())


def _micros(values: list[Any], zone: str) -> np.ndarray:
    stamps, _ = read_timestamps(values, zone)
    return stamps.cast(pa.int64()).fill_null(NO_TIME).to_numpy(zero_copy_only=False)


def _key_text(values: list[Any]) -> bytes:
    try:
        return orjson.dumps(values, default=str, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Whole numbers of more than 64 bits.
        return dump_line(values, str)
