"""All pages of a day, pinned one by one.

Belongs here: going from page to page, from window to window and from parent to parent; which records of a page are the
day's; going on after an interruption. Does not belong here: sending a request (`client`), what the next one is
(`paginators`).

Each answer is a part, byte for byte, under the number of its page. With it stands where the paginator was and where it
goes next, so that an interrupted export goes on after its last page: the pages that are there are read again, not
asked for again. A page all of whose records lie outside the window is kept as an empty part.

Of a page's records some are not the part's (`Framing.skip`): those outside the window, which the API's inclusive ends
or its order bring along, and those that an earlier page brought already (`primary_key`).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa
import xxhash

from posthog_assets.core.errors import ImportFileError, SourceRefused, shorten
from posthog_assets.core.json_text import dump_line
from posthog_assets.core.timestamps import read_timestamps
from posthog_assets.sources.formats import Compression, Format, Framing
from posthog_assets.sources.formats.json_paths import NOTHING, find
from posthog_assets.sources.formats.selected import members_at, parse_answer
from posthog_assets.sources.http.api import TooMuch
from posthog_assets.sources.manifest import Part, RawExport
from posthog_assets.sources.rest.client import Page, RestClient
from posthog_assets.sources.rest.endpoint import Asking, Endpoint, ForEach
from posthog_assets.sources.rest.paginators import END, End, PageFacts, PaginatorSettings, Place, same_host
from posthog_assets.sources.rest.requests import Request, filled, filled_path, pairs_of, without_params
from posthog_assets.sources.rest.seen import SeenKeys
from posthog_assets.sources.rest.tally import Tally
from posthog_assets.sources.rest.windows import Incremental, Window

_NO_TIME: Final = np.iinfo(np.int64).min


class Rules(Protocol):
    """The settings of a source that pages are read by."""

    @property
    def base_url(self) -> str: ...
    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def for_each(self) -> ForEach | None: ...
    @property
    def order(self) -> str | None: ...
    @property
    def start_exclusive(self) -> bool: ...
    @property
    def end_inclusive(self) -> bool: ...
    @property
    def margin(self) -> timedelta: ...
    @property
    def outside(self) -> str: ...
    @property
    def max_rows_per_window(self) -> int | None: ...
    @property
    def zone(self) -> ZoneInfo: ...
    def paginator_of(self, asking: Asking) -> PaginatorSettings: ...


@dataclass(frozen=True, slots=True)
class Parent:
    """One of `for_each`: the placeholder's value, and what its records get of it."""

    value: str
    fields: Mapping[str, Any]

    @property
    def code(self) -> str:
        return xxhash.xxh3_64_hexdigest(self.value.encode())[:12]


@dataclass(frozen=True, slots=True)
class _Read:
    """A page as the rest of the way needs it; `next` is where the paginator goes from it."""

    members: list[Any]
    answer: Any
    next: Place | End


class Pages:
    """Reads the pages of one export into *raw*; *key* is unique to what the source and its settings are now."""

    def __init__(self, rules: Rules, client: RestClient, raw: RawExport, key: str) -> None:
        self._rules = rules
        self._client = client
        self._raw = raw
        self._key = key
        self._seen = SeenKeys()
        #: Where the records of the answers went.
        self.tally = Tally()

    def read(self, window: Window | None) -> None:
        """Pin all pages of *window* (None: of the whole), and confirm those that are pinned already.

        Raises:
            SourceRefused: the API refuses, contradicts itself, or cannot deliver the window whole.
            SourceUnavailable: it does not answer.
            BrokenPart: its answers cannot be read.
        """
        for parent in self._parents():
            self._window(parent, window)

    # --- parents and windows --------------------------------------------------------------------------------

    def _parents(self) -> Iterator[Parent | None]:
        each = self._rules.for_each
        if each is None:
            yield None
            return
        done: set[str] = set()
        for parent in self._listed(each):
            if parent.value not in done:
                done.add(parent.value)
                yield parent

    def _listed(self, each: ForEach) -> Iterator[Parent]:
        for value in each.values or ():
            yield Parent(value, {f"_{each.name}": value})
        if each.values:
            return
        request = self._request(each, {})
        for _, page in self._pages(each, request, "parents"):
            for member in page.members:
                value = find(member, each.field)
                if value is NOTHING or value is None or isinstance(value, dict | list):
                    raise SourceRefused(
                        f"{request.shown}: a record has no value at source.for_each.field {each.field!r}: "
                        f"{shorten(member)}"
                    )
                more = {f"_{each.name}_{field}": found for field in each.include
                        if (found := find(member, field)) is not NOTHING}  # fmt: skip
                yield Parent(str(value), {f"_{each.name}": value, **more})

    def _window(self, parent: Parent | None, window: Window | None) -> None:
        """Read a window; in halves where it is too much for the API at once."""
        names: list[str] = []
        seen = SeenKeys()
        tally = Tally()
        try:
            self._read_window(parent, window, names, seen, tally)
        except TooMuch as error:
            halves = self._halves(window)
            if halves is None:
                raise SourceRefused(
                    f"{error}. The API cannot deliver this much at a time, and the time cannot be halved any further: "
                    "narrow source.endpoint.params"
                ) from error
            for name in names:
                self._raw.leave_out(name)
            for half in halves:
                self._window(parent, half)
        else:
            self._seen.join(seen)
            self.tally.join(tally)

    def _halves(self, window: Window | None) -> tuple[Window, Window] | None:
        incremental = self._rules.endpoint.incremental
        if window is None or incremental is None:
            return None
        return window.halves(max(incremental.unit, timedelta(milliseconds=1)))

    def _read_window(
        self, parent: Parent | None, window: Window | None, names: list[str], seen: SeenKeys, tally: Tally
    ) -> None:
        endpoint = self._rules.endpoint
        request = self._request(endpoint, self._known(parent, window))
        codes = [parent.code if parent else "", window.code if window else ""]
        stem = "-".join(["page", *(code for code in codes if code)])
        sift = _Sift(self._rules, window, parent, self._seen, seen, tally)
        count, most = 0, self._rules.max_rows_per_window
        for name, page in self._pages(endpoint, request, stem, sift):
            names.append(name)
            count += len(page.members)
            if most is not None:
                _check_cap(count, most, endpoint, page, request)

    def _known(self, parent: Parent | None, window: Window | None) -> dict[str, Any]:
        known: dict[str, Any] = {}
        incremental = self._rules.endpoint.incremental
        if parent is not None and self._rules.for_each is not None:
            known[self._rules.for_each.name] = parent.value
            known |= {name.removeprefix("_"): value for name, value in parent.fields.items()}
        if window is not None and incremental is not None:
            known["incremental.start_value"], known["incremental.end_value"] = incremental.ends(
                window, self._rules.zone,
                start_exclusive=self._rules.start_exclusive, end_inclusive=self._rules.end_inclusive,
                margin=self._rules.margin,
            )  # fmt: skip
        return known

    def _request(self, asking: Asking, known: Mapping[str, Any]) -> Request:
        each = self._rules.for_each
        path = filled_path(asking.path, known, "" if each and each.encode_slashes else "/")
        base = self._rules.base_url
        url = same_host(path, base) if "://" in path else f"{base}/{path.lstrip('/')}" if path else base
        params = dict(filled(asking.params, known))
        incremental = asking.incremental if isinstance(asking, Endpoint) else None
        for param, end in _ends(incremental):
            params[param] = known[f"incremental.{end}_value"]
        body = filled(asking.body, known) if asking.body is not None else None
        if body is None and asking.method == "POST":
            body = {}
        return Request(asking.method, url, pairs_of(params), body)

    # --- pages ----------------------------------------------------------------------------------------------

    def _pages(
        self, asking: Asking, request: Request, stem: str, sift: _Sift | None = None
    ) -> Iterator[tuple[str, _Read]]:
        """Yield the pages of a request, with the names of their parts, to the last one."""
        paginator = self._rules.paginator_of(asking)
        place: Place = paginator.first
        number, been = 0, {_digest(place)}
        while True:
            number += 1
            name = f"{stem}-{number:05d}.json"
            page = self._pinned(name, place, asking, sift)
            if page is None:
                found = self._client.page(
                    paginator.ask(request, self._with_secrets(place)), asking.data_selector, asking.response_actions,
                    missing_is_empty=asking.missing_data == "empty",
                )  # fmt: skip
                if found is None:
                    return
                facts = PageFacts(found.answer, found.headers, len(found.members), request)
                after = self._without_secrets(paginator.after(place, facts))
                page = self._pin(name, place, _Read(found.members, found.answer, after), found, asking, request, sift)
            yield name, page
            if isinstance(page.next, End):
                return
            place = page.next
            if (digest := _digest(place)) in been:
                raise SourceRefused(
                    f"{request.shown}: after page {number:,} the cursor is where it was before, "
                    f"{shorten(place, 100)}: the API would deliver the same pages for ever. Check the paginator's "
                    "paths and parameters"
                )
            been.add(digest)

    def _pinned(self, name: str, place: Place, asking: Asking, sift: _Sift | None) -> _Read | None:
        """Return a page that an interrupted export has left, and confirm its part; None where it must be asked for."""
        for full in (name, f"{name}.gz"):
            part = self._raw.found(full)
            memory = _memory(part)
            if part is None or memory.get("export") != self._key or memory.get("at") != place:
                continue
            if not self._raw.keep_if_current(full, part.origin_fingerprint, part.framing):
                continue
            with self._raw.open(part) as file:
                content = file.read()
            text = gzip.decompress(content) if part.framing.compression is Compression.GZIP else content
            answer = parse_answer(text, name) if text else None
            select = asking.data_selector
            is_empty = answer is None or (asking.missing_data == "empty" and find(answer, select) is NOTHING)
            members = [] if is_empty else members_at(answer, select, name)
            if sift is not None:
                sift.sift(members, memory.get("last", _NO_TIME))
                sift.tally.add_passed(*memory.get("outside", ()))
            return _Read(members, answer, END if memory["end"] else memory["next"])
        return None

    def _pin(
        self, name: str, place: Place, page: _Read, found: Page, asking: Asking, request: Request, sift: _Sift | None
    ) -> _Read:
        """Keep a page as a part; return it, as the last one where no later page can have records of the window."""
        count = len(page.members)
        # The records of a list of parents are none of the import's.
        skip = sift.sift(page.members) if sift else [True] * count
        is_outside = sift is not None and sift.is_outside
        if sift is not None and sift.is_past:
            page = replace(page, next=END)
        is_end = isinstance(page.next, End)
        memory: dict[str, Any] = {
            "export": self._key,
            "at": place,
            "next": None if is_end else page.next,
            "end": is_end,
        }
        if sift is not None and is_outside:
            memory["last"] = sift.last
            memory["outside"] = sift.outside
        framing = Framing(
            Format.JSON, Compression.NONE if is_outside else found.compression,
            select=asking.data_selector, skip=() if is_outside else _ranges(skip),
            add=dump_line(dict(sift.added)).decode().strip() if sift and sift.added else "",
            key=sift.key if sift and not is_outside else (),
        )  # fmt: skip
        if find(page.answer, asking.data_selector) is NOTHING:
            # The answer as a whole is the one record there is, and none of the import's.
            framing = replace(framing, select="$", skip=((0, 1),))
        full = name if framing.compression is Compression.NONE else f"{name}.gz"
        with self._raw.part(full, framing, request.shown, dump_line(memory).decode().strip()) as sink:
            if not is_outside:
                sink.write(found.content)
        return page

    def _without_secrets(self, place: Place | End) -> Place | End:
        """Return a place that may be written down: no link of it holds a credential."""
        if not isinstance(place, str):
            return place
        if "://" in place and self._client.hidden_params:
            place = without_params(place, self._client.hidden_params)
        for number, secret in enumerate(self._client.secrets):
            place = place.replace(secret, f"\0{number}\0")
        return place

    def _with_secrets(self, place: Place) -> Place:
        if isinstance(place, str):
            for number, secret in enumerate(self._client.secrets):
                place = place.replace(f"\0{number}\0", secret)
        return place


class _Sift:
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
        self.last = _NO_TIME
        #: Whether no record of the last page lies in the window, and whether none of the next ones can.
        self.is_outside = self.is_past = False

    def sift(self, members: list[Any], last: int = _NO_TIME) -> list[bool]:
        """Return for each record of a page whether it is to be skipped.

        *last* is the time of the last record of a page whose records were not kept.
        """
        skip = self._outside(members)
        self.tally.records += len(members)
        if not members and last != _NO_TIME:
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
        has_time = times != _NO_TIME
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
        bounded = {name for name, _ in bounds(self._rules.endpoint)}
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
        full = np.concatenate([[self.last], times]) if self.last != _NO_TIME else times
        steps = np.diff(full)
        if (steps > 0 if order == "newest_first" else steps < 0).any():
            raise SourceRefused(
                f"source.order is {order}, but the API delivers records in another order of "
                f"{incremental.cursor_path}: where reading may stop cannot be seen. Ask for that order in "
                "source.endpoint.params, or read with whole: true"
            )
        self.last = int(full[-1])
        self.is_past = bool(early.any() if order == "newest_first" else late.any())


def bounds(endpoint: Endpoint) -> set[tuple[str, str]]:
    """Return which ends of a window the API is asked for, `start` and `end`, and how."""
    found = {(end, param) for param, end in _ends(endpoint.incremental)}
    used = endpoint.placeholders
    return found | {(end, "") for end in ("start", "end") if f"incremental.{end}_value" in used}


def _ends(incremental: Incremental | None) -> list[tuple[str, str]]:
    if incremental is None:
        return []
    pairs = [(incremental.start_param, "start"), (incremental.end_param, "end")]
    return [(param, end) for param, end in pairs if param]


def _check_cap(count: int, most: int, endpoint: Endpoint, page: _Read, request: Request) -> None:
    """Raise TooMuch where a query has more records than the API delivers of one, or may have."""
    total = find(page.answer, endpoint.total_path) if endpoint.total_path else count
    if endpoint.total_path and (not isinstance(total, int) or isinstance(total, bool)):
        raise ImportFileError(f"source.endpoint.total_path {endpoint.total_path!r}: there is no number in the answer")
    if max(count, total) >= most:
        raise TooMuch(
            f"{request.shown}: {max(count, total):,} records in one query, of which the API delivers {most:,} at most "
            "(source.max_rows_per_window)"
        )


def _micros(values: list[Any], zone: str) -> np.ndarray:
    stamps, _ = read_timestamps(values, zone)
    return stamps.cast(pa.int64()).fill_null(_NO_TIME).to_numpy(zero_copy_only=False)


def _ranges(skip: list[bool]) -> tuple[tuple[int, int], ...]:
    """Return the stretches of True, as start and stop."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.array(skip, bool), [False]])))
    return tuple((int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True))


def _memory(part: Part | None) -> dict[str, Any]:
    if part is None:
        return {}
    try:
        memory = orjson.loads(part.origin_fingerprint)
    except orjson.JSONDecodeError:
        return {}
    return memory if isinstance(memory, dict) else {}


def _key_text(values: list[Any]) -> bytes:
    try:
        return orjson.dumps(values, default=str, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Whole numbers of more than 64 bits.
        return dump_line(values, str)


def _digest(place: Place) -> bytes:
    return xxhash.xxh3_128_digest(repr(place).encode())
