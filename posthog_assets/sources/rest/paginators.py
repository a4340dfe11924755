"""How one page leads to the next, under the names dlt and PostHog give these ways.

Belongs here: what is asked for the first page, and what an answer says of the next one or of the end. Does not belong
here: sending requests (`client`), what becomes of a page (`pinned_pages`).

A paginator has no state. Where a page stands is a small JSON value, which the page's part remembers: by it an
interrupted export goes on.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal
from urllib.parse import urljoin, urlsplit

from pydantic import Field, field_validator, model_validator

from posthog_assets.core.errors import SourceRefused, shorten
from posthog_assets.core.sections import Section
from posthog_assets.sources.formats.json_paths import NOTHING, find, steps_of, with_value
from posthog_assets.sources.rest.requests import Request

#: Where a page stands: a cursor, a number, or the link that led to it; None for the first one of most paginators.
Place = str | int | None

#: A link in a Link header and what follows it, up to the next link (RFC 8288).
_LINK: Final = re.compile(r"<([^>]*)>([^<]*)")
_REL: Final = re.compile(r"""\brel\s*=\s*(?:"([^"]*)"|([^\s;,]+))""", re.I)


@dataclass(frozen=True, slots=True)
class End:
    """There are no more pages."""


END: Final = End()


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a paginator looks at: the answer, its headers, how many records it has, and the request that led to it."""

    answer: Any
    headers: Mapping[str, str]
    count: int
    request: Request


class PaginatorSettings(Section, ABC):
    """What is asked for, and where the next page is.

    The settings here are ways of saying that there are more pages, or none, which several paginators have.
    """

    has_more_path: str | None = Field(None, description="Path of a value that says whether there are more pages")
    end_path: str | None = Field(None, description="Path of a value that says whether this is the last page")

    @field_validator("*")
    @classmethod
    def _are_paths(cls, value: Any, info: Any) -> Any:
        if isinstance(value, str) and info.field_name.endswith("_path"):
            steps_of(value)
        return value

    @property
    def first(self) -> Place:
        """The place of the first page."""
        return None

    @property
    def needs_key(self) -> bool:
        """Whether records may move from page to page while they are read."""
        return False

    @abstractmethod
    def ask(self, request: Request, place: Place) -> Request:
        """Return the request for the page at *place*."""

    @abstractmethod
    def after(self, place: Place, page: PageFacts) -> Place | End:
        """Return the place of the page after *page*, or `END`.

        Raises:
            SourceRefused: the answer says neither, or contradicts itself.
        """

    def says_more(self, page: PageFacts) -> bool | None:
        """Return whether the answer says that there are more pages; None: this API does not say."""
        for path, more in ((self.has_more_path, True), (self.end_path, False)):
            if path:
                found = find(page.answer, path)
                if found is NOTHING:
                    raise SourceRefused(
                        f"{page.request.shown}: the answer has nothing at {path!r}, which is to say whether there are "
                        "more pages (source.client.paginator)"
                    )
                return _truth(found) is more
        return None


class SinglePage(PaginatorSettings):
    """All of it comes with one answer."""

    type: Literal["single_page"]

    def ask(self, request: Request, place: Place) -> Request:
        return request

    def after(self, place: Place, page: PageFacts) -> End:
        if _link(page.headers, "next") or self.says_more(page):
            raise SourceRefused(
                f"{page.request.shown}: the answer says that there are more pages, but the paginator is single_page: "
                "name the one this API has"
            )
        return END


class JsonLink(PaginatorSettings):
    """The answer holds the URL of the next page."""

    type: Literal["json_link"]
    next_url_path: str = Field("next", description="Path of the next page's address in the answer")

    def ask(self, request: Request, place: Place) -> Request:
        return request if place is None else replace(request, link=str(place))

    def after(self, place: Place, page: PageFacts) -> Place | End:
        found = find(page.answer, self.next_url_path)
        return _next_link(self, page, "" if found is NOTHING or found is None else str(found))


class HeaderLink(PaginatorSettings):
    """The header `Link` holds the URL of the next page."""

    type: Literal["header_link"]
    links_next_key: str = Field("next", description="Name of the link in the header Link")

    def ask(self, request: Request, place: Place) -> Request:
        return request if place is None else replace(request, link=str(place))

    def after(self, place: Place, page: PageFacts) -> Place | End:
        return _next_link(self, page, _link(page.headers, self.links_next_key))


class Cursor(PaginatorSettings):
    """The answer holds a cursor, which the next request gives back."""

    type: Literal["cursor"]
    cursor_path: str = Field("cursors.next", description="Path of the cursor in the answer")
    cursor_param: str | None = Field(None, description="Parameter of the address that takes the cursor")
    cursor_body_path: str | None = Field(None, description="Path in the request's body that takes the cursor")
    stop_after_empty_page: bool = Field(False, description="Whether a page without records is the last one")
    drop_params: tuple[str, ...] = Field((), description="Parameters that must not come together with the cursor")

    @model_validator(mode="after")
    def _has_a_way_back(self) -> Cursor:
        if bool(self.cursor_param) == bool(self.cursor_body_path):
            raise ValueError("needs either cursor_param or cursor_body_path: where the next request gives the cursor")
        return self

    def ask(self, request: Request, place: Place) -> Request:
        if place is None:
            return request
        kept = tuple(pair for pair in request.params if pair[0] not in self.drop_params)
        request = replace(request, params=kept)
        if self.cursor_param:
            return request.with_param(self.cursor_param, str(place))
        return replace(request, body=with_value(request.body, self.cursor_body_path or "", place))

    def after(self, place: Place, page: PageFacts) -> Place | End:
        more = self.says_more(page)
        if more is False or (self.stop_after_empty_page and not page.count and not more):
            return END
        return _cursor(find(page.answer, self.cursor_path), more, page, self.cursor_path)


class HeaderCursor(PaginatorSettings):
    """A header holds a cursor, which the next request gives back as a parameter."""

    type: Literal["header_cursor"]
    cursor_key: str = Field("next", description="Name of the header with the cursor")
    cursor_param: str = Field("cursor", description="Parameter of the address that takes the cursor")

    def ask(self, request: Request, place: Place) -> Request:
        return request if place is None else request.with_param(self.cursor_param, str(place))

    def after(self, place: Place, page: PageFacts) -> Place | End:
        more = self.says_more(page)
        if more is False:
            return END
        return _cursor(page.headers.get(self.cursor_key), more, page, f"the header {self.cursor_key}")


class Counted(PaginatorSettings):
    """What offset and page_number share: the end is a total, a word of the answer, or a page without records."""

    total_path: str | None = Field(None, description="Path of the total in the answer")
    stop_after_empty_page: bool = Field(True, description="Whether an empty page is the last one")

    @model_validator(mode="after")
    def _has_an_end(self) -> Counted:
        if not (self.total_path or self.has_more_path or self.end_path or self.stop_after_empty_page):
            raise ValueError("has no end: give total_path, has_more_path or stop_after_empty_page: true")
        return self

    @property
    def needs_key(self) -> bool:
        return True

    def _total(self, page: PageFacts) -> int | None:
        if not self.total_path:
            return None
        found = find(page.answer, self.total_path)
        if isinstance(found, str) and found.isdecimal():
            found = int(found)
        if not isinstance(found, int) or isinstance(found, bool):
            raise SourceRefused(f"{page.request.shown}: the answer has no number at total_path {self.total_path!r}")
        return found

    def _is_last(self, page: PageFacts, read: int) -> bool:
        """Whether nothing follows, after *read* records or pages in all."""
        more, total = self.says_more(page), self._total(page)
        is_last = more is False or (total is not None and read >= total)
        if not is_last and not page.count:
            if more is None and total is None:
                return True
            if total is not None:
                raise SourceRefused(
                    f"{page.request.shown}: the page is empty, but by total_path {self.total_path!r} only {read:,} of "
                    f"{total:,} were read: records were deleted meanwhile, or the API delivers no more; run this again"
                )
        return is_last


class Offset(Counted):
    """The request says how many records to pass over."""

    type: Literal["offset"]
    limit: int = Field(gt=0, description="Records asked for at a time")
    offset: int = Field(0, description="Where the first page begins")
    offset_param: str | None = Field("offset", description="Parameter of the address that takes the offset")
    offset_body_path: str | None = Field(None, description="Path in the body that takes the offset")
    limit_param: str | None = Field("limit", description="Parameter of the address that takes the limit")
    limit_body_path: str | None = Field(None, description="Path in the body that takes the limit")

    @property
    def first(self) -> Place:
        return self.offset

    def ask(self, request: Request, place: Place) -> Request:
        request = _given(request, self.offset_param, self.offset_body_path, place)
        return _given(request, self.limit_param, self.limit_body_path, self.limit)

    def after(self, place: Place, page: PageFacts) -> Place | End:
        # What was delivered counts, not what was asked for: an API may give fewer at a time than it is asked for.
        following = int(place or 0) + page.count
        return END if self._is_last(page, following - self.offset) else max(following, int(place or 0) + 1)


class PageNumber(Counted):
    """The request says which page it wants."""

    type: Literal["page_number"]
    base_page: int = Field(0, description="Number of the first page")
    page_param: str | None = Field("page", description="Parameter of the address that takes the page")
    page_body_path: str | None = Field(None, description="Path in the body that takes the page")

    @property
    def first(self) -> Place:
        return self.base_page

    def ask(self, request: Request, place: Place) -> Request:
        return _given(request, self.page_param, self.page_body_path, place)

    def after(self, place: Place, page: PageFacts) -> Place | End:
        following = int(place or 0) + 1
        return END if self._is_last(page, following - self.base_page) else following


Paginator = Annotated[
    SinglePage | JsonLink | HeaderLink | Cursor | HeaderCursor | Offset | PageNumber, Field(discriminator="type")
]


def _given(request: Request, param: str | None, body_path: str | None, value: Any) -> Request:
    if body_path:
        return replace(request, body=with_value(request.body, body_path, value))
    return request.with_param(param, str(value)) if param else request


def _cursor(found: Any, more: bool | None, page: PageFacts, where: str) -> Place | End:
    if found is NOTHING or found is None or found == "" or found is False:
        if more:
            raise SourceRefused(
                f"{page.request.shown}: the answer says that there are more pages, but has no cursor at {where}"
            )
        return END
    if not isinstance(found, str | int):
        raise SourceRefused(f"{page.request.shown}: the cursor at {where} is no text or number: {shorten(found)}")
    return found


def _next_link(paginator: PaginatorSettings, page: PageFacts, link: str) -> Place | End:
    more = paginator.says_more(page)
    if more is False or (not link and not more):
        return END
    if not link:
        raise SourceRefused(f"{page.request.shown}: the answer says that there are more pages, but has no link to them")
    return same_host(urljoin(page.request.url, link), page.request.url)


def same_host(link: str, base: str) -> str:
    """Return *link*; raises SourceRefused where it leads elsewhere: credentials would go there."""
    there, here = urlsplit(link), urlsplit(base)
    if (there.scheme, there.netloc.lower()) != (here.scheme, here.netloc.lower()):
        raise SourceRefused(
            f"the link to the next page leads to {there.scheme}://{shorten(there.netloc, 100)}, not to "
            f"{here.scheme}://{here.netloc}: refused, since the credentials would go there. If that is the API, "
            "name it in source.client.base_url"
        )
    return link


def _link(headers: Mapping[str, str], relation: str) -> str:
    for target, rest in _LINK.findall(headers.get("Link", "")):
        found = _REL.search(rest)
        if found and relation in (found[1] or found[2]).split():
            return str(target)
    return ""


def _truth(value: Any) -> bool:
    return value.lower() not in ("false", "0", "no", "") if isinstance(value, str) else bool(value)
