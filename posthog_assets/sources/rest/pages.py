"""All pages of a day, one after the other.

Belongs here: going from page to page, from window to window and from parent to parent. Does not belong here: sending
a request (`client`), what the next one is (`paginators`), what becomes of a page (`pinned_pages`), which of its records
are the day's (`sift`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import xxhash

from posthog_assets.core.errors import ImportFileError, SourceRefused, shorten
from posthog_assets.sources.formats.json_paths import find
from posthog_assets.sources.http.api import TooMuch
from posthog_assets.sources.manifest import RawExport
from posthog_assets.sources.rest.client import RestClient
from posthog_assets.sources.rest.endpoint import Asking, Endpoint, ForEach
from posthog_assets.sources.rest.paginators import End, PageFacts, Place, same_host
from posthog_assets.sources.rest.parents import Parent
from posthog_assets.sources.rest.pinned_pages import PinnedPages, ReadPage
from posthog_assets.sources.rest.requests import Request, filled, filled_path, pairs_of
from posthog_assets.sources.rest.rules import Rules
from posthog_assets.sources.rest.seen import SeenKeys
from posthog_assets.sources.rest.sift import Sift
from posthog_assets.sources.rest.tally import Tally
from posthog_assets.sources.rest.windows import Window


class Pages:
    """Reads the pages of one export into *raw*; *key* is unique to what the source and its settings are now."""

    def __init__(self, rules: Rules, client: RestClient, raw: RawExport, key: str) -> None:
        self._rules = rules
        self._client = client
        self._raw = raw
        self._pinned = PinnedPages(raw, key, client.secrets, client.hidden_params)
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
            yield Parent.of_value(each, value)
        if each.values:
            return
        request = self._request(each, {})
        for _, page in self._pages(each, request, "parents"):
            for member in page.members:
                yield Parent.of_record(each, member, request.shown)

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
        sift = Sift(self._rules, window, parent, self._seen, seen, tally)
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
        for end, param in incremental.end_params.items() if incremental else ():
            params[param] = known[f"incremental.{end}_value"]
        body = filled(asking.body, known) if asking.body is not None else None
        if body is None and asking.method == "POST":
            body = {}
        return Request(asking.method, url, pairs_of(params), body)

    # --- pages ----------------------------------------------------------------------------------------------

    def _pages(
        self, asking: Asking, request: Request, stem: str, sift: Sift | None = None
    ) -> Iterator[tuple[str, ReadPage]]:
        """Yield the pages of a request, with the names of their parts, to the last one."""
        paginator = self._rules.paginator_of(asking)
        place: Place = paginator.first
        number, been = 0, {_digest(place)}
        while True:
            number += 1
            name = f"{stem}-{number:05d}.json"
            page = self._pinned.find(name, place, asking, sift)
            if page is None:
                found = self._client.page(
                    paginator.ask(request, self._pinned.with_secrets(place)),
                    asking.data_selector,
                    asking.response_actions,
                    missing_is_empty=asking.missing_data == "empty",
                )
                if found is None:
                    return
                facts = PageFacts(found.answer, found.headers, len(found.members), request)
                after = self._pinned.without_secrets(paginator.after(place, facts))
                page = self._pinned.pin(
                    name, place, ReadPage(found.members, found.answer, after), found, asking, request, sift
                )
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


def _check_cap(count: int, most: int, endpoint: Endpoint, page: ReadPage, request: Request) -> None:
    """Raise TooMuch where a query has more records than the API delivers of one, or may have."""
    total = find(page.answer, endpoint.total_path) if endpoint.total_path else count
    if endpoint.total_path and (not isinstance(total, int) or isinstance(total, bool)):
        raise ImportFileError(f"source.endpoint.total_path {endpoint.total_path!r}: there is no number in the answer")
    if max(count, total) >= most:
        raise TooMuch(
            f"{request.shown}: {max(count, total):,} records in one query, of which the API delivers {most:,} at most "
            "(source.max_rows_per_window)"
        )


def _digest(place: Place) -> bytes:
    return xxhash.xxh3_128_digest(repr(place).encode())
