"""What one answer says of each event."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from posthog_assets.destination.settings import Protocol
from posthog_assets.destination.verdicts import Answer, Consequence, Verdict, judge

NOW = datetime(2024, 3, 1, tzinfo=UTC)


def answer_to(body: bytes) -> Answer:
    return judge(Protocol.V1, 200, {}, body, NOW)


def test_an_answer_that_takes_everything_names_each_event() -> None:
    answer = answer_to(b'{"results":{"u1":{"result":"ok"},"u2":{"result":"ok"}}}')
    assert (answer.consequence, set(answer.plain), answer.verdicts) == (Consequence.SETTLED, {"u1", "u2"}, {})


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
        (b'{"results":{"u1":{"result":"ok"},"u2":{"result":"warning"}}}', {"u1"}, {"u2": (Verdict.WARNING, "")}),
        (b'{"results": {"u1": {"result": "ok"}}}', {"u1"}, {}),
        (b'{"results":{"u1":{"result":"ok"}},"other":{"result":"ok"}}', {"u1"}, {}),
        (b'{"results":{}}', set(), {}),
    ],
)
def test_an_answer_says_of_each_event_what_stands_beside_it(
    body: bytes, taken: set[str], verdicts: dict[str, tuple[Verdict, str]]
) -> None:
    answer = answer_to(body)
    assert (answer.consequence, set(answer.plain), answer.verdicts) == (Consequence.SETTLED, taken, verdicts)


@pytest.mark.parametrize(
    "body",
    [
        b'{"results":{"u1":true,"u2":{"result":"ok"}}}',
        b'{"results":{"u1":true},"other":{"result":"ok"}}',
        b'{"results":{"u1":1,"u2":{"result":"ok"}}}',
        b'{"results":[{"u1":{"result":"ok"}}]}',
        b'{"results":{"result":"ok"}}',
        b'{"u1":{"result":"ok"}}',
        b'{"results":{"u1":{"result":"ok"},"u2":{"result":"ok"}',
        b':{"result":"ok"}',
    ],
)
def test_an_answer_that_is_not_posthogs_takes_nothing(body: bytes) -> None:
    answer = answer_to(body)
    assert (answer.consequence, answer.takes_any) == (Consequence.RETRY, False)
