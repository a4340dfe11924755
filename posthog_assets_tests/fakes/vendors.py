"""Stand-ins for the APIs that have a recipe, written from the vendors' public documentation, with their limits.

Belongs here: what each vendor asks for, pages, leaves out and refuses; and the events that must land of it. Does not
belong here: tests. It shares no code with the product.

Every vendor has records four hours apart over two days, on their midnights too, and one more on the midnight after.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from posthog_assets_tests.fakes.export_server import Asked, ExportServer, Reply

START = datetime(2024, 3, 1, tzinfo=UTC)
TIMES = [START + timedelta(hours=4 * number) for number in range(13)]
LAST = 12

#: Something that must land: event, distinct_id, instant.
Landing = tuple[str, str, datetime]


def epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Refused(Exception):
    """What the vendor says no to, with its status."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def require(condition: object, words: str, status: int = 400) -> None:
    if not condition:
        raise Refused(status, words)


class Vendor(ExportServer):
    """A vendor when all is well. Every *burst* requests it wants to be left alone, as its rate limit does."""

    burst = 7
    events: list[Landing]
    secret = "s3cret-of-a-vendor"

    def __init__(self) -> None:
        super().__init__()
        self._since_rest = 0

    def reply(self, asked: Asked) -> Reply:
        self._since_rest += 1
        if self._since_rest > self.burst:
            self._since_rest = 0
            return Reply(429, b'{"message": "rate limit exceeded"}', {"Retry-After": "1"})
        try:
            self.check_credentials(asked)
            body, headers = self.answer(asked)
        except Refused as no:
            return Reply(no.status, json.dumps({"message": str(no)}).encode())
        return Reply(body=json.dumps(body).encode(), headers={"Content-Type": "application/json"} | headers)

    def check_credentials(self, asked: Asked) -> None:
        require(asked.headers.get("Authorization") == f"Bearer {self.secret}", "bad credentials", 401)

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        raise NotImplementedError

    def page_of(self, found: list[Any], size: int, most: int, start: int) -> tuple[list[Any], int | None]:
        """Return a page, and where the next one begins."""
        require(0 < size <= most, f"at most {most} a page")
        stop = start + size
        return found[start:stop], stop if stop < len(found) else None

    def linked(self, asked: Asked, following: int | None, name: str = "page") -> dict[str, str]:
        """Return the Link header that leads to page *following*."""
        if following is None:
            return {}
        query = urlencode(asked.fields | {name: following})
        return {"Link": f'<{self.url}{asked.path}?{query}>; rel="next", <{self.url}{asked.path}>; rel="first"'}


class Stripe(Vendor):
    """Lists newest first; `created[gte]`, `created[lt]`; at most 100 a page; `starting_after` the last id."""

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        kind = asked.path.removeprefix("/v1/")
        make = {"charges": self.charge, "invoices": self.invoice, "refunds": self.refund,
                "subscriptions": self.subscription}  # fmt: skip
        require(kind in make, "Unrecognized request URL", 404)
        low, high = int(asked.fields["created[gte]"]), int(asked.fields["created[lt]"])
        found = [make[kind](n) for n in reversed(range(13)) if low <= epoch(TIMES[n]) < high]
        if kind == "subscriptions" and asked.fields.get("status") != "all":
            found = [one for one in found if one["canceled_at"] is None]
        if kind == "refunds" and asked.fields.get("expand[]") != "data.charge":
            found = [one | {"charge": one["charge"]["id"]} for one in found]
        after = asked.fields.get("starting_after")
        ids = [one["id"] for one in found]
        require(after is None or after in ids, f"No such object: {after}")
        page, more = self.page_of(found, int(asked.fields.get("limit", 10)), 100, ids.index(after) + 1 if after else 0)
        return {"object": "list", "url": asked.path, "has_more": more is not None, "data": page}, {}

    @staticmethod
    def charge(n: int) -> dict[str, Any]:
        status = ["succeeded", "failed", "pending"][n % 3]
        return {"id": f"ch_{n}", "object": "charge", "customer": f"cus_{n % 4}", "created": epoch(TIMES[n]),
                "status": status, "amount": 100 * n, "refunded": False}  # fmt: skip

    @staticmethod
    def invoice(n: int) -> dict[str, Any]:
        paid = epoch(TIMES[n]) + 3600 if n % 2 else None
        steps = {"finalized_at": epoch(TIMES[n]) + 60, "paid_at": paid, "voided_at": None}
        return {"id": f"in_{n}", "customer": f"cus_{n}", "created": epoch(TIMES[n]), "status_transitions": steps}

    def refund(self, n: int) -> dict[str, Any]:
        return {"id": f"re_{n}", "created": epoch(TIMES[n]), "amount": 5, "charge": self.charge(n)}

    @staticmethod
    def subscription(n: int) -> dict[str, Any]:
        ended = epoch(TIMES[n]) + 7200 if n % 3 == 0 else None
        return {"id": f"sub_{n}", "customer": f"cus_{n}", "created": epoch(TIMES[n]), "canceled_at": ended,
                "ended_at": ended}  # fmt: skip


class GitHub(Vendor):
    """Oldest star first, the time only with its own media type; no filter by time; Link headers; 100 a page."""

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        require(asked.headers.get("X-GitHub-Api-Version") == "2022-11-28", "version wanted")
        parts = asked.path.strip("/").split("/")
        require(len(parts) == 4 and parts[0] == "repos" and "/".join(parts[1:3]) in ("acme/one", "acme/two"), "no", 404)
        size, page = int(asked.fields.get("per_page", 30)), int(asked.fields.get("page", 1))
        found = [self.make(parts[3], n, asked) for n in range(13) if n % 2 == (parts[2] == "two")]
        if parts[3] == "releases" or (parts[3] == "issues" and asked.fields.get("direction") != "asc"):
            found.reverse()
        if parts[3] == "issues" and asked.fields.get("state") != "all":
            found = [one for one in found if one["closed_at"] is None]
        part, more = self.page_of(found, size, 100, (page - 1) * size)
        return part, self.linked(asked, page + 1 if more is not None else None)

    @staticmethod
    def make(kind: str, n: int, asked: Asked) -> dict[str, Any]:
        user = {"login": f"user{n % 5}", "id": n % 5 + 100 * (n // 5)}
        at = iso(TIMES[n])
        match kind:
            case "stargazers":
                with_time = asked.headers.get("Accept") == "application/vnd.github.star+json"
                return {"starred_at": at, "user": user} if with_time else user
            case "releases":
                return {"id": n, "tag_name": f"v{n}", "author": user, "published_at": at, "created_at": at}
            case "issues":
                closed = iso(TIMES[n] + timedelta(hours=1)) if n % 3 == 0 else None
                return {"id": n, "number": n, "user": user, "created_at": at, "closed_at": closed}
        raise Refused(404, "Not Found")


class GitLab(Vendor):
    """A project's path with %2F; Link headers; 100 a page."""

    def check_credentials(self, asked: Asked) -> None:
        require(asked.headers.get("PRIVATE-TOKEN") == self.secret, "401 Unauthorized", 401)

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        require(asked.path == "/api/v4/projects/acme%2Fone/releases", "404 Project Not Found", 404)
        size, page = int(asked.fields.get("per_page", 20)), int(asked.fields.get("page", 1))
        found = [
            {"tag_name": f"v{n}", "released_at": iso(TIMES[n]), "author": {"username": f"user{n % 5}"}}
            for n in range(13)
        ]
        part, more = self.page_of(found, size, 100, (page - 1) * size)
        return part, self.linked(asked, page + 1 if more is not None else None)


class Bitbucket(Vendor):
    """Tags in `values`, the URL of the next page in `next`; 100 a page."""

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        require(asked.path == "/2.0/repositories/acme/one/refs/tags", "not found", 404)
        size, page = int(asked.fields.get("pagelen", 10)), int(asked.fields.get("page", 1))
        found = [
            {
                "name": f"v{n}",
                "date": None,
                "target": {"date": iso(TIMES[n]), "author": {"raw": f"Ann <u{n % 5}@x.de>"}},
            }
            for n in range(13)
        ]
        part, more = self.page_of(found, size, 100, (page - 1) * size)
        body: dict[str, Any] = {"values": part, "pagelen": size, "page": page}
        if more is not None:
            body["next"] = f"{self.url}{asked.path}?{urlencode(asked.fields | {'page': page + 1})}"
        return body, {}


class Zendesk(Vendor):
    """From `start_time` on, or after a cursor, never both; to the end of the stream; tickets may come twice."""

    def check_credentials(self, asked: Asked) -> None:
        expected = base64.b64encode(f"ann@x.de/token:{self.secret}".encode()).decode()
        require(asked.headers.get("Authorization") == f"Basic {expected}", "Couldn't authenticate you", 401)

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        require(asked.path == "/api/v2/incremental/tickets/cursor.json", "not found", 404)
        cursor, since = asked.fields.get("cursor"), asked.fields.get("start_time")
        require((cursor is None) != (since is None), "either cursor or start_time")
        start = int(cursor) if cursor else next(n for n in range(14) if n == 13 or epoch(TIMES[n]) >= int(since or 0))
        found = [
            {"id": n, "requester_id": 900 + n % 4, "created_at": iso(TIMES[n] - timedelta(days=3)),
             "generated_timestamp": epoch(TIMES[n])}
            for n in range(13)
        ]  # fmt: skip
        part, more = self.page_of(found, int(asked.fields.get("per_page", 1000)), 1000, start)
        # The record at the border comes again.
        part = found[max(start - 1, 0) : start] + part if cursor else part
        following = str(more if more is not None else 13)
        return {"tickets": part, "after_cursor": following, "end_of_stream": more is None}, {}


class Shopify(Vendor):
    """Both ends included; 250 a page; the next page's link has page_info and limit, and no filter beside them."""

    burst = 3

    def check_credentials(self, asked: Asked) -> None:
        require(asked.headers.get("X-Shopify-Access-Token") == self.secret, "[API] Invalid API key", 401)

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        require(asked.path == "/admin/api/2025-01/orders.json", "Not Found", 404)
        start = 0
        if info := asked.fields.get("page_info"):
            require(set(asked.fields) == {"page_info", "limit"}, "page_info allows limit only")
            start, low, high = map(int, info.split("-"))
        else:
            require(asked.fields.get("status") == "any", "closed orders would be left out")
            low, high = (epoch(moment_of(asked.fields[f"created_at_{end}"])) for end in ("min", "max"))
        found = [self.order(n) for n in range(13) if low <= epoch(TIMES[n]) <= high]
        size = int(asked.fields.get("limit", 50))
        part, more = self.page_of(found, size, 250, start)
        link = {}
        if more is not None:
            query = urlencode({"page_info": f"{more}-{low}-{high}", "limit": size})
            link = {"Link": f'<{self.url}{asked.path}?{query}>; rel="next"'}
        return {"orders": part}, link

    @staticmethod
    def order(n: int) -> dict[str, Any]:
        at = TIMES[n].astimezone().isoformat()
        cancelled = (TIMES[n] + timedelta(hours=2)).isoformat() if n % 4 == 0 else None
        return {"id": n, "created_at": at, "cancelled_at": cancelled, "customer": {"id": 500 + n % 3}, "total": "9.50"}


class Intercom(Vendor):
    """Search by POST; `>` and `<` of created_at count whole days (UTC); 150 a page; paging in the body."""

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        require(asked.headers.get("Intercom-Version") == "2.11", "version wanted")
        require(asked.method == "POST" and asked.path == "/conversations/search", "not found", 404)
        body = json.loads(asked.body)
        bounds = {one["operator"]: int(one["value"]) // 86_400 for one in body["query"]["value"]}
        found = [self.conversation(n) for n in range(13) if bounds[">"] < epoch(TIMES[n]) // 86_400 < bounds["<"]]
        paging = body["pagination"]
        part, more = self.page_of(found, paging["per_page"], 150, int(paging.get("starting_after", 0)))
        pages: dict[str, Any] = {"type": "pages"} | (
            {"next": {"starting_after": str(more)}} if more is not None else {}
        )
        return {"type": "conversation.list", "conversations": part, "total_count": len(found), "pages": pages}, {}

    @staticmethod
    def conversation(n: int) -> dict[str, Any]:
        contact = {"id": f"contact{n}", "external_id": f"user{n}" if n % 2 else None}
        return {"id": str(n), "created_at": epoch(TIMES[n]), "contacts": {"contacts": [contact]}}


class HubSpot(Vendor):
    """Search by POST; 200 a page; no more than *cap* records of a query, which `after` beyond it is refused for."""

    burst = 4
    cap = 10_000

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        kind = asked.path.split("/")[4] if asked.path.endswith("/search") else ""
        require(asked.method == "POST" and kind in ("contacts", "deals"), "not found", 404)
        body = json.loads(asked.body)
        bounds = {one["operator"]: int(one["value"]) for one in body["filterGroups"][0]["filters"]}
        found = [self.make(n, body["properties"]) for n in range(13)
                 if bounds["GTE"] <= 1000 * epoch(TIMES[n]) < bounds["LT"]]  # fmt: skip
        start = int(body.get("after", 0))
        require(start < self.cap, f"paging beyond {self.cap} results is not supported")
        part, more = self.page_of(found, body.get("limit", 10), 200, start)
        paging = {"paging": {"next": {"after": str(more)}}} if more is not None else {}
        return {"total": len(found), "results": part} | paging, {}

    @staticmethod
    def make(n: int, wanted: list[str]) -> dict[str, Any]:
        known = {"email": f"u{n}@x.de", "hubspot_owner_id": str(70 + n % 2), "dealname": "Ü",
                 "createdate": TIMES[n].strftime("%Y-%m-%dT%H:%M:%S.000Z")}  # fmt: skip
        return {"id": str(n), "properties": {name: known.get(name) for name in wanted}}


class WooCommerce(Vendor):
    """`after` leaves its end out; times are the shop's unless dates_are_gmt; Link headers; 100 a page."""

    def check_credentials(self, asked: Asked) -> None:
        expected = base64.b64encode(f"ck_1:{self.secret}".encode()).decode()
        require(asked.headers.get("Authorization") == f"Basic {expected}", "woocommerce_rest_cannot_view", 401)

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        require(asked.path == "/wp-json/wc/v3/orders", "rest_no_route", 404)
        shift = timedelta(0) if asked.fields.get("dates_are_gmt") == "true" else timedelta(hours=-5)
        low, high = (moment_of(asked.fields[end]) - shift for end in ("after", "before"))
        found = [self.order(n) for n in range(13) if low < TIMES[n] < high]
        size, page = int(asked.fields.get("per_page", 10)), int(asked.fields.get("page", 1))
        part, more = self.page_of(found, size, 100, (page - 1) * size)
        return part, self.linked(asked, page + 1 if more is not None else None)

    @staticmethod
    def order(n: int) -> dict[str, Any]:
        def local(moment: datetime | None) -> str | None:
            return moment.strftime("%Y-%m-%dT%H:%M:%S") if moment else None

        paid = TIMES[n] + timedelta(minutes=5) if n % 2 else None
        return {"id": n, "date_created_gmt": local(TIMES[n]), "date_paid_gmt": local(paid), "date_completed_gmt": None,
                "billing": {"email": f"u{n % 4}@x.de"}, "total": "12.00"}  # fmt: skip


class Typeform(Vendor):
    """One form at a time; both ends included; newest first; `before` a token, never with `until`; 1,000 a page."""

    burst = 5

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        if asked.path == "/forms":
            page = int(asked.fields.get("page", 1))
            forms = [{"id": "f1", "title": "One"}, {"id": "f2", "title": "Two"}][page - 1 : page]
            return {"total_items": 2, "page_count": 2, "items": forms}, {}
        form = asked.path.split("/")[2]
        require(asked.path in ("/forms/f1/responses", "/forms/f2/responses"), "FORM_NOT_FOUND", 404)
        require(not ("before" in asked.fields and "until" in asked.fields), "before cannot be combined with until")
        since = moment_of(asked.fields["since"])
        until = moment_of(asked.fields.get("until", "2100-01-01T00:00:00"))
        numbers = [n for n in reversed(range(13)) if n % 2 == (form == "f2") and since <= TIMES[n] <= until]
        if before := asked.fields.get("before"):
            numbers = [n for n in numbers if n < int(before.removeprefix("token"))]
        part, _ = self.page_of([self.response(n) for n in numbers], int(asked.fields.get("page_size", 25)), 1000, 0)
        return {"total_items": len(numbers), "page_count": 1, "items": part}, {}

    @staticmethod
    def response(n: int) -> dict[str, Any]:
        hidden = {"user_id": f"user{n}"} if n % 3 else {}
        return {"token": f"token{n}", "submitted_at": iso(TIMES[n]), "hidden": hidden, "answers": [{"text": "ü"}]}


@dataclass(frozen=True)
class Case:
    """A recipe's resource: what the import file says of it, pages so small that there are several, and the truth."""

    recipe: str
    resource: str
    vendor: type[Vendor]
    base: str
    settings: dict[str, Any]
    small: dict[str, Any]
    truth: Callable[[int], list[Landing]]
    also: dict[str, Any] = field(default_factory=dict)

    @property
    def expected(self) -> set[Landing]:
        return {landing for number in range(LAST) for landing in self.truth(number)}


def _stripe(resource: str, truth: Callable[[int], list[Landing]]) -> Case:
    return Case("stripe", resource, Stripe, "/v1", {"api_key": Vendor.secret}, {"params": {"limit": 2}}, truth)


def _github(resource: str, truth: Callable[[int], list[Landing]]) -> Case:
    settings = {"token": Vendor.secret, "repositories": ["acme/one", "acme/two"]}
    return Case("github", resource, GitHub, "", settings, {"params": {"per_page": 2}}, truth)


def _at(n: int, **more: int) -> datetime:
    return TIMES[n] + timedelta(**more)


def _some(*landings: Landing | None) -> list[Landing]:
    return [landing for landing in landings if landing]


_SMALL_PAGE = {"json": {"limit": 2}}
_CHARGES = ["stripe.charge.succeeded", "stripe.charge.failed", "stripe.charge.pending"]

CASES = [
    _stripe("charges", lambda n: [(_CHARGES[n % 3], f"cus_{n % 4}", _at(n))]),
    _stripe("invoices", lambda n: _some(
        ("stripe.invoice.created", f"cus_{n}", _at(n)),
        ("stripe.invoice.finalized", f"cus_{n}", _at(n, seconds=60)),
        ("stripe.invoice.paid", f"cus_{n}", _at(n, hours=1)) if n % 2 else None,
    )),
    _stripe("refunds", lambda n: [("stripe.refund.created", f"cus_{n % 4}", _at(n))]),
    _stripe("subscriptions", lambda n: _some(
        ("stripe.customer.subscription.created", f"cus_{n}", _at(n)),
        ("stripe.customer.subscription.canceled", f"cus_{n}", _at(n, hours=2)) if n % 3 == 0 else None,
        ("stripe.customer.subscription.deleted", f"cus_{n}", _at(n, hours=2)) if n % 3 == 0 else None,
    )),
    _github("stars", lambda n: [("github.star.created", f"user{n % 5}", _at(n))]),
    _github("releases", lambda n: [("github.release.published", f"user{n % 5}", _at(n))]),
    _github("issues", lambda n: _some(
        ("github.issues.opened", f"user{n % 5}", _at(n)),
        ("github.issues.closed", f"user{n % 5}", _at(n, hours=1)) if n % 3 == 0 else None,
    )),
    Case("gitlab", "releases", GitLab, "/api/v4", {"token": Vendor.secret, "projects": ["acme/one"]},
         {"params": {"per_page": 5}}, lambda n: [("gitlab.release.published", f"user{n % 5}", _at(n))]),
    Case("bitbucket", "releases", Bitbucket, "/2.0", {"token": Vendor.secret, "repositories": ["acme/one"]},
         {"params": {"pagelen": 5}}, lambda n: [("bitbucket.tag.created", f"Ann <u{n % 5}@x.de>", _at(n))]),
    Case("zendesk", "tickets", Zendesk, "/api/v2",
         {"subdomain": "acme", "email": "ann@x.de", "api_token": Vendor.secret}, {"params": {"per_page": 2}},
         lambda n: [("zendesk.ticket.created", str(900 + n % 4), _at(n, days=-3))]),
    Case("shopify", "orders", Shopify, "/admin/api/2025-01", {"shop": "acme", "access_token": Vendor.secret},
         {"params": {"limit": 2}}, lambda n: _some(
             ("shopify.order.created", str(500 + n % 3), _at(n)),
             ("shopify.order.cancelled", str(500 + n % 3), _at(n, hours=2)) if n % 4 == 0 else None,
         ), {"horizon_days": None}),
    Case("intercom", "conversations", Intercom, "", {"access_token": Vendor.secret},
         {"json": {"pagination": {"per_page": 4}}},
         lambda n: [("intercom.conversation.created", f"user{n}" if n % 2 else f"contact{n}", _at(n))]),
    Case("hubspot", "contacts", HubSpot, "", {"access_token": Vendor.secret}, _SMALL_PAGE,
         lambda n: [("hubspot.contact.created", f"u{n}@x.de", _at(n))]),
    Case("hubspot", "deals", HubSpot, "", {"access_token": Vendor.secret}, _SMALL_PAGE,
         lambda n: [("hubspot.deal.created", str(70 + n % 2), _at(n))]),
    Case("woocommerce", "orders", WooCommerce, "/wp-json/wc/v3",
         {"url": "https://shop.example.com", "consumer_key": "ck_1", "consumer_secret": Vendor.secret},
         {"params": {"per_page": 2}}, lambda n: _some(
             ("woocommerce.order.created", f"u{n % 4}@x.de", _at(n)),
             ("woocommerce.order.paid", f"u{n % 4}@x.de", _at(n, minutes=5)) if n % 2 else None,
         )),
    Case("typeform", "responses", Typeform, "", {"token": Vendor.secret}, {"params": {"page_size": 2}},
         lambda n: [("typeform.response.submitted", f"user{n}" if n % 3 else f"token{n}", _at(n))]),
]  # fmt: skip


class Calendly(Vendor):
    """Scheduled events of an organization; both ends included; 100 a page; the URL of the next page in the answer."""

    def answer(self, asked: Asked) -> tuple[Any, dict[str, str]]:
        require(asked.path == "/scheduled_events" and "organization" in asked.fields, "Not Found", 404)
        low, high = moment_of(asked.fields["min_start_time"]), moment_of(asked.fields["max_start_time"])
        found = [
            {"uri": f"https://api.calendly.com/scheduled_events/{n}", "start_time": iso(TIMES[n]),
             "event_memberships": [{"user_email": f"u{n % 3}@x.de"}]}
            for n in range(13) if low <= TIMES[n] <= high
        ]  # fmt: skip
        start = int(asked.fields.get("page_token", 0))
        part, more = self.page_of(found, int(asked.fields.get("count", 20)), 100, start)
        link = f"{self.url}{asked.path}?{urlencode(asked.fields | {'page_token': more})}" if more is not None else None
        return {"collection": part, "pagination": {"count": len(part), "next_page": link}}, {}
