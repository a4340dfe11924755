"""hash, redact."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.core.errors import ImportFileError
from posthog_assets.mapping.steps import load_step
from posthog_assets_tests.mapping.steps.applying import after, event, left
from posthog_assets_tests.mapping.test_mapping import map_rows, row

KEY = "a key of 16 letters"


def digest(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_a_hash_is_hmac_sha256_of_the_text() -> None:
    # Spelled out again on purpose: everything imported under a key depends on these bytes.
    assert left({"step": "hash", "key": KEY, "names": ["a"]}, {"a": "ann"}) == {
        "a": "aaef97c50d1232c72e6c1a7935dc3df9e29b1b69dae2c1faa20c209c6a3e6277"
    }


def test_values_become_a_keyed_hash_wherever_they_stand() -> None:
    given = event({"email": "ann@a.example", "id": 5, "none": None, "list": ["a"], "page": "Home"})
    given.set, given.group_set = {"email": "ann@a.example"}, {"email": "ann@a.example"}
    after({"step": "hash", "key": KEY, "names": ["email", "id", "none", "list"]}, given)
    assert given.properties == {
        "email": digest("ann@a.example"), "id": digest("5"), "none": None, "list": digest('["a"]'), "page": "Home"
    }  # fmt: skip
    assert given.set == given.group_set == {"email": digest("ann@a.example")}
    assert given.distinct_id == "ann"


def test_texts_may_be_made_alike_before() -> None:
    step = {"step": "hash", "key": KEY, "names": ["email"]}
    assert left(step | {"lower": True}, {"email": " Ann@A.example "}) == {"email": digest("ann@a.example")}
    assert left(step, {"email": "Ann"}) == {"email": digest("Ann")}


def said(rows: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    return [
        (
            one["event"],
            one["distinct_id"],
            json.loads(one["properties"]).get("$anon_distinct_id") or json.loads(one["properties"]).get("alias"),
        )
        for one in rows
    ]


def test_ids_are_hashed_alike_in_events_calls_and_derived_events(tmp_path: Path) -> None:
    rows = [
        row(1, user_id=None, anonymous_id="dev"),
        row(2, user_id="ann", anonymous_id=" dev "),
        row(3, kind="identify", event="identify", user_id="ann ", anonymous_id="tablet"),
        row(4, kind="alias", event="alias", user_id="ann", anonymous_id="old"),
    ]
    events, report = map_rows(rows, tmp_path, steps=[{"step": "hash", "key": KEY, "ids": True}])
    ann, dev = digest("ann"), digest("dev")
    assert said(events) == [
        ("$identify", ann, dev),
        ("edit", dev, None),
        ("edit", ann, None),
        ("$identify", ann, digest("tablet")),
        ("$create_alias", ann, digest("old")),
    ]
    assert report.rejected == 0
    assert "ann" not in "".join(one["properties"] for one in events)


def test_an_id_that_is_nobodys_does_not_become_somebody(tmp_path: Path) -> None:
    rows = [row(1, user_id="null"), row(2, user_id=" "), row(3, user_id="ann", anonymous_id="guest")]
    events, report = map_rows(rows, tmp_path, steps=[{"step": "hash", "key": KEY, "ids": True}])
    assert [one["reject_reason"] for one in events] == [
        "distinct_id is one PostHog gives no person: 'null'", "distinct_id is empty", None
    ]  # fmt: skip
    assert report.derived == 0


def test_a_group_keeps_its_key(tmp_path: Path) -> None:
    call = row(kind="group", event="group", user_id=None, groups='{"company":"5"}', set='{"mail":"a@b.example"}')
    (one,), _ = map_rows([call], tmp_path, steps=[{"step": "hash", "key": KEY, "ids": True, "names": ["mail"]}])
    assert one["distinct_id"] == "$company_5"
    assert json.loads(one["properties"])["$group_set"] == {"mail": digest("a@b.example")}
    assert json.loads(one["properties"])["$group_key"] == "5"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"key": KEY}, "it would hash nothing"),
        ({"key": KEY, "ids": True, "events": ["a"]}, "a person would fall in two"),
        ({"key": "short", "names": ["a"]}, "shorter than 16"),
    ],
)
def test_a_hash_that_protects_nobody_is_refused(step: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as raised:
        load_step({"step": "hash"} | step)
    assert "short'" not in str(raised.value)


@pytest.mark.parametrize("key", [None, ""])
def test_without_its_key_nothing_is_mapped(key: str | None, tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="the step hash has no key"):
        map_rows([row()], tmp_path, steps=[{"step": "hash", "key": key, "names": ["page"]}])


def test_named_properties_go_at_any_depth() -> None:
    properties = {"password": 1, "form": {"old_password": 2, "fields": [{"password": 3, "name": "x"}]}, "page": "p"}
    step = {"step": "redact", "names": ["*password"]}
    assert left(step, json.loads(json.dumps(properties))) == {"form": {"fields": [{"name": "x"}]}, "page": "p"}
    assert left(step | {"action": "mask"}, properties) == {
        "password": "[redacted]",
        "form": {"old_password": "[redacted]", "fields": [{"password": "[redacted]", "name": "x"}]},
        "page": "p",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to Ann.O'Hara+x@mail.a-b.example, now", "write to [email], now"),
        ("ann@localhost @ann", "ann@localhost @ann"),
        ("from 192.168.0.255.", "from [ip]."),
        ("version 1.2.3.4.5 and 1.2.3 and 999.1.1.1", "version 1.2.3.4.5 and 1.2.3 and 999.1.1.1"),
        ("2001:db8::ff00:42:8329 at 12:30:15", "[ip] at 12:30:15"),
        ("::1 is a b::c", "::1 is a [ip]"),
        ("call +49 (30) 901820 or (030) 901 820", "call [phone] or [phone]"),
        ("call 555-123-4567, order 5551234567, on 2024-03-01", "call [phone], order 5551234567, on 2024-03-01"),
        ("card 4111 1111 1111 1111.", "card [card]."),
        ("order 4111111111111112 of 1709294400000", "order 4111111111111112 of 1709294400000"),
    ],
)
def test_what_tells_who_somebody_is_is_masked_in_texts(text: str, expected: str) -> None:
    step = {"step": "redact", "find": ["email", "ip", "phone", "card"]}
    assert left(step, {"a": text, "b": [{"c": text}], "n": 4111111111111111}) == {
        "a": expected, "b": [{"c": expected}], "n": 4111111111111111
    }  # fmt: skip


def test_persons_and_groups_are_redacted_too() -> None:
    given = event({"$set": {"mail": "a@b.example"}})
    given.set_once, given.group_set = {"mail": "a@b.example"}, {"mail": "a@b.example"}
    after({"step": "redact", "find": ["email"]}, given)
    assert (given.properties, given.set_once, given.group_set) == (
        {"$set": {"mail": "[email]"}}, {"mail": "[email]"}, {"mail": "[email]"}
    )  # fmt: skip
