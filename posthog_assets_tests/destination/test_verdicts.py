"""What each of PostHog's answers leads to, whatever it looks like."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_assets.destination.settings import Protocol
from posthog_assets.destination.verdicts import Answer, Consequence, Verdict, judge, no_answer
from posthog_assets_tests.examples import examples

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
KEY = "phc_abcdefghijkl"
V1, BATCH = Protocol.V1, Protocol.BATCH


def read(protocol: Protocol, status: int, body: Any = b"", retry_after: str | None = None) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return judge(protocol, status, headers, body if isinstance(body, bytes) else orjson.dumps(body), NOW, KEY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["ok", "drop", "retry", "Ok", "events"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["results", "result", "details", "status", "quota_limited", "u1", "u2"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
results = st.dictionaries(
    st.sampled_from(["u1", "u2", "u3", "u4"]),
    st.fixed_dictionaries(
        {"result": st.sampled_from(["ok", "warning", "drop", "retry", "limited"])},
        optional={"details": st.none() | st.sampled_from(["", "late", "ü"])},
    ),
)


@settings(max_examples=examples(100))
@given(results)
def test_every_event_of_a_request_has_exactly_one_verdict(said: dict[str, dict[str, Any]]) -> None:
    answer = read(V1, 200, {"results": said})
    expected = {uuid: entry["result"] for uuid, entry in said.items()}
    assert answer.consequence is Consequence.SETTLED
    assert not answer.all_ok
    assert not answer.plain & answer.verdicts.keys()
    found = dict.fromkeys(answer.plain, Verdict.OK) | {uuid: verdict for uuid, (verdict, _) in answer.verdicts.items()}
    assert {uuid: str(verdict) for uuid, verdict in found.items()} == {
        uuid: result if result in ("ok", "warning", "drop") else "owed" for uuid, result in expected.items()
    }


@settings(max_examples=examples(200))
@given(
    st.sampled_from(Protocol),
    st.sampled_from([200, 202, 204, 301, 400, 401, 404, 408, 413, 429, 500, 503]),
    json_values.map(orjson.dumps) | st.binary(max_size=20),
    st.sampled_from([None, "", "5", "nan", "-1", "1e300", "soon", "Fri, 99 Mar 2024"]),
)
def test_no_answer_is_an_error_and_only_a_proof_settles_events(
    protocol: Protocol, status: int, body: bytes, retry_after: str | None
) -> None:
    answer = read(protocol, status, body, retry_after)
    assert answer.status == status
    if answer.consequence is not Consequence.SETTLED:
        assert not answer.takes_any
        assert answer.verdicts == {}
    if status >= 300:
        assert answer.consequence is not Consequence.SETTLED


@pytest.mark.parametrize(
    ("protocol", "status", "body", "retry_after", "consequence"),
    [
        (V1, 200, {"results": {}}, None, Consequence.SETTLED),
        (V1, 200, b"<html>", None, Consequence.RETRY),
        (V1, 200, {"results": [1]}, None, Consequence.RETRY),
        (V1, 200, {"status": "Ok"}, None, Consequence.RETRY),
        (V1, 204, b"", None, Consequence.RETRY),
        (BATCH, 200, {"status": "Ok"}, None, Consequence.SETTLED),
        (BATCH, 200, {"status": 1}, None, Consequence.SETTLED),
        (BATCH, 204, b"", None, Consequence.SETTLED),
        (BATCH, 200, b"", None, Consequence.RETRY),
        (BATCH, 200, {"status": "ok"}, None, Consequence.SETTLED),
        (BATCH, 200, {"status": 0}, None, Consequence.RETRY),
        (BATCH, 200, {"status": True}, None, Consequence.RETRY),
        (BATCH, 200, {"status": 1.0}, None, Consequence.RETRY),
        (BATCH, 200, {"status": "1"}, None, Consequence.RETRY),
        (BATCH, 200, {"status": "OK!"}, None, Consequence.RETRY),
        (BATCH, 200, {"status": ["Ok"]}, None, Consequence.RETRY),
        (BATCH, 200, {"ok": True}, None, Consequence.RETRY),
        (BATCH, 200, [{"status": "Ok"}], None, Consequence.RETRY),
        (BATCH, 200, {"status": "Ok", "quota_limited": ["events"]}, None, Consequence.STOP),
        (BATCH, 200, {"status": "Ok", "quota_limited": ["recordings"]}, None, Consequence.SETTLED),
        (V1, 400, b"", None, Consequence.SPLIT),
        (BATCH, 413, b"", None, Consequence.SPLIT),
        (V1, 401, b"", None, Consequence.STOP),
        (BATCH, 402, b"", None, Consequence.STOP),
        (BATCH, 403, b"", None, Consequence.STOP),
        (V1, 415, b"", None, Consequence.STOP),
        (V1, 302, b"", None, Consequence.STOP),
        (V1, 404, b"", None, Consequence.FALL_BACK),
        (V1, 405, b"", None, Consequence.FALL_BACK),
        (V1, 503, {"error": "V1 sink not configured"}, None, Consequence.FALL_BACK),
        (BATCH, 404, b"", None, Consequence.STOP),
        (BATCH, 503, {"error": "V1 sink not configured"}, None, Consequence.RETRY),
        (V1, 429, b"", "7", Consequence.WAIT),
        (V1, 503, b"", "Fri, 01 Mar 2024 12:00:30 GMT", Consequence.WAIT),
        (V1, 429, b"", None, Consequence.RETRY),
        (V1, 429, b"", "0", Consequence.RETRY),
        (V1, 503, b"", "Fri, 01 Mar 2024 11:00:00 GMT", Consequence.RETRY),
        (BATCH, 429, b"", "soon", Consequence.RETRY),
        (V1, 408, b"", None, Consequence.RETRY),
        (BATCH, 500, b"", "7", Consequence.RETRY),
        (V1, 599, b"", None, Consequence.RETRY),
    ],
)
def test_an_answer_leads_to(
    protocol: Protocol, status: int, body: Any, retry_after: str | None, consequence: Consequence
) -> None:
    assert read(protocol, status, body, retry_after).consequence is consequence


@pytest.mark.parametrize("quota", [True, 5, {"events": 1}, "recordings"])
def test_a_quota_that_is_no_list_is_read_without_an_error(quota: Any) -> None:
    assert read(BATCH, 200, {"status": 1, "quota_limited": quota}).consequence is Consequence.SETTLED


def test_how_long_to_wait_is_given_in_seconds() -> None:
    assert read(V1, 429, b"", "7").retry_after == 7.0
    assert read(V1, 503, b"", "Fri, 01 Mar 2024 12:00:30 GMT").retry_after == 30.0
    assert read(V1, 500, b"", "nonsense").retry_after is None


def test_over_its_quota_an_event_is_owed_and_any_other_drop_is_for_good() -> None:
    answer = read(
        V1,
        200,
        {
            "results": {
                "a": {"result": "drop", "details": "billing_limit_exceeded"},
                "b": {"result": "drop", "details": "missing_event_name"},
                "c": {"result": "drop"},
            }
        },
    )
    assert answer.verdicts == {
        "a": (Verdict.OWED, "billing_limit_exceeded"),
        "b": (Verdict.DROP, "missing_event_name"),
        "c": (Verdict.DROP, ""),
    }
    assert not answer.takes_any


def test_an_event_that_is_ok_with_words_keeps_them() -> None:
    answer = read(V1, 200, {"results": {"a": {"result": "ok"}, "b": {"result": "ok", "details": "late"}}})
    assert (answer.plain, answer.verdicts) == ({"a"}, {"b": (Verdict.OK, "late")})
    assert answer.takes_any


@pytest.mark.parametrize(
    ("results", "events", "owed"),
    [
        ({"a": "ok"}, 2, True),
        ({"a": "ok"}, 1, False),
        ({"a": "ok", "b": "warning", "c": "retry"}, 3, False),
        ({"a": "drop", "b": "retry", "c": "retry"}, 3, True),
        ({"a": "drop", "b": "drop", "c": "retry", "d": "retry"}, 4, True),
        ({}, 1, True),
    ],
)
def test_posthog_is_in_trouble_where_half_of_the_events_or_more_have_no_verdict(
    results: dict[str, str], events: int, owed: bool
) -> None:
    answer = read(V1, 200, {"results": {uuid: {"result": result} for uuid, result in results.items()}})
    assert answer.mostly_owed(events) is owed


def test_a_whole_batch_that_was_taken_is_not_owed() -> None:
    answer = read(BATCH, 204)
    assert (answer.all_ok, answer.takes_any, answer.mostly_owed(1_000)) == (True, True, False)


@pytest.mark.parametrize("key", [KEY, KEY.removeprefix("phc_")])
@pytest.mark.parametrize("before", [0, 150, 190, 199])
def test_no_part_of_the_key_is_in_what_an_answer_says(key: str, before: int) -> None:
    text = "x" * before + key
    answers = [
        read(V1, 200, {"results": {"a": {"result": "drop", "details": text}}}).verdicts["a"][1],
        read(V1, 200, text.encode()).words,
        read(BATCH, 200, {"status": text}).words,
        read(V1, 401, {"error": text}).words,
        read(BATCH, 500, text.encode()).words,
    ]
    for said in answers:
        assert "abcdef" not in said
        assert len(said) < 300


def test_a_failure_without_words_says_its_status() -> None:
    assert read(V1, 502).words == "HTTP 502"
    assert read(BATCH, 401, {"detail": "Invalid key"}).words == "Invalid key"


def test_silence_is_tried_again() -> None:
    answer = no_answer("connection refused")
    assert (answer.consequence, answer.status, answer.words) == (Consequence.RETRY, None, "connection refused")
    assert not answer.takes_any


@pytest.mark.parametrize(
    ("body", "taken", "verdicts"),
    [
        # Of a uuid that comes twice, the last entry counts.
        (
            b'{"results":{"u1":{"result":"ok"},"u2":{"result":"ok"},"u1":{"result":"retry"}}}',
            {"u2"},
            {"u1": (Verdict.OWED, "")},
        ),
        (
            b'{"results":{"u1":{"result":"ok"},"u2":{"result":"drop","details":":{\\"result\\":\\"ok\\"}"}}}',
            {"u1"},
            {"u2": (Verdict.DROP, ':{"result":"ok"}')},
        ),
        (
            b'{"results":{"u1":{"result":"retry"},"u2":{"result":"ok"},"u1":{"result":"ok"}}}',
            {"u1", "u2"},
            {},
        ),
        (
            b'{"results":{"u1":{"result":"ok"},"u2":{"result":"drop","details":{"result":"ok"}}}}',
            {"u1"},
            {"u2": (Verdict.DROP, "{'result': 'ok'}")},
        ),
        (b'{"results":{"u1":{"result":"ok"},"u2":{"result":"warning"}}}', {"u1"}, {"u2": (Verdict.WARNING, "")}),
        (b'{"results": {"u1": {"result": "ok"}}}', {"u1"}, {}),
        (b'{"results":{"u1":{"result":"ok"}},"other":{"result":"ok"}}', {"u1"}, {}),
        (b'{"results":{}}', set(), {}),
    ],
)
def test_an_answer_says_of_each_event_what_stands_beside_it(
    body: bytes, taken: set[str], verdicts: dict[str, tuple[Verdict, str]]
) -> None:
    answer = read(V1, 200, body)
    assert (answer.consequence, set(answer.plain), answer.verdicts) == (Consequence.SETTLED, taken, verdicts)


@pytest.mark.parametrize(
    "body",
    [
        b'{"results":{"u1":true,"u2":{"result":"ok"}}}',
        b'{"results":{"u1":true},"other":{"result":"ok"}}',
        b'{"results":{"u1":1,"u2":{"result":"ok"}}}',
        b'{"results":{"u1":{"result":"ok"},"u2":{"result":"drop","details":"a:{"result":"ok"}"}}}',
        b'{"results":{"u1":{"result":"drop","details":"a:{"result":"ok"}"}}}',
        b'{"results":[{"u1":{"result":"ok"}}]}',
        b'{"results":{"result":"ok"}}',
        b'{"u1":{"result":"ok"}}',
        b'{"results":{"u1":{"result":"ok"},"u2":{"result":"ok"}',
        b':{"result":"ok"}',
    ],
)
def test_an_answer_that_is_not_posthogs_takes_nothing(body: bytes) -> None:
    answer = read(V1, 200, body)
    assert (answer.consequence, answer.takes_any) == (Consequence.RETRY, False)
