"""Random servers that misbehave: every event is stored, dropped for its own fault, or owed; never anything else.

Belongs here: scripts of misbehaviour, and the property, tried on a few of them. `end_to_end.test_server_scripts` tries
many.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthog_assets.core.errors import DeliveryError
from posthog_assets.destination import gate, lane
from posthog_assets.destination.report import DeliveryReport
from posthog_assets_tests.destination.test_delivery import events, run
from posthog_assets_tests.examples import examples
from posthog_assets_tests.fakes.capture_server import Asked, CaptureServer, Reply

#: What a server does to whole requests, for as many of them as the script says.
SPELLS = [
    "ok", "400", "413", "drop all", "500", "close", "close after", "html", "429", "404", "retry all", "absent all",
    "half then 413", "wait nan", "empty results", "other uuids",
]  # fmt: skip


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "backoff", lambda failures: 0.001)
    # Doubles, as the real one does: the other lanes need a moment to find an event that is taken.
    monkeypatch.setattr(lane, "backoff", lambda failures: 0.01 * 2 ** min(failures, 6))
    monkeypatch.setattr(lane, "_COMPANY", 0.001)


class Misbehaving:
    """A server that goes through *spells*, each for a number of requests, and refuses the events *bad* at all times."""

    def __init__(self, spells: list[tuple[str, int]], ending: str, bad: set[str], v1: bool) -> None:
        self._left: Iterator[str] = (what for what, count in spells for _ in range(count))
        self._ending = ending
        self._bad = bad
        self._v1 = v1
        self.server: CaptureServer | None = None

    def __call__(self, asked: Asked) -> Reply | None:
        what = next(self._left, self._ending)
        v1 = asked.path.startswith("/i/v1")
        everyone = asked.uuids
        match what:
            case "400" | "413" | "500":
                return Reply(int(what), b"refused whatever it is")
            case "404" if v1:
                return Reply(404, b"not found")
            case "drop all" if v1:
                return Reply(verdicts={uuid: {"result": "drop", "details": "no"} for uuid in everyone})
            case "close":
                return Reply(None, take=False)
            case "close after":
                self._store(asked)
                return Reply(None, take=False)
            case "html":
                return Reply(200, b"<html>", take=False)
            case "429":
                return Reply(429, headers={"Retry-After": "0"})
            case "wait nan":
                return Reply(503, headers={"Retry-After": "nan"})
            case "retry all" if v1:
                return Reply(verdicts={uuid: {"result": "retry"} for uuid in everyone})
            case "absent all" if v1:
                return Reply(verdicts=dict.fromkeys(everyone))
            case "empty results" if v1:
                return Reply(200, b'{"results": {}}', take=False)
            case "other uuids" if v1:
                return Reply(
                    200, b'{"results": {"00000000-0000-0000-0000-000000000000": {"result": "ok"}}}', take=False
                )
            case "half then 413":
                self._store(asked, len(everyone) // 2)
                return Reply(413, b"event too big")
        return self._as_posthog(asked, v1)

    def _as_posthog(self, asked: Asked, v1: bool) -> Reply | None:
        bad = [uuid for uuid in asked.uuids if uuid in self._bad]
        if not bad:
            return None
        if v1 and self._v1:
            return Reply(verdicts={uuid: {"result": "drop", "details": "its own fault"} for uuid in bad})
        return Reply(400, b"its own fault")

    def _store(self, asked: Asked, count: int | None = None) -> None:
        assert self.server is not None
        self.server.stored += [event for event in asked.body["batch"][:count] if event["uuid"] not in self._bad]


#: What a script is made of.
SCRIPT: Final[dict[str, st.SearchStrategy[Any]]] = {
    "spells": st.lists(st.tuples(st.sampled_from(SPELLS), st.integers(1, 12)), max_size=6),
    "ending": st.sampled_from(["ok", "ok", "400", "413", "drop all", "500", "half then 413"]),
    "seed": st.integers(0, 10**6),
    "bad": st.sampled_from([0, 0, 1, 3]),
    "protocol": st.sampled_from(["auto", "batch"]),
    "verdicts": st.booleans(),
    "concurrency": st.sampled_from([1, 3]),
    "size": st.sampled_from([1, 7, 20]),
}


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(**SCRIPT)
def test_every_event_is_stored_or_dropped_for_its_own_fault_or_owed(
    tmp_path_factory: pytest.TempPathFactory, **script: Any
) -> None:
    check_script(tmp_path_factory.mktemp("misbehaving"), **script)


def check_script(
    folder: Path, spells: list[tuple[str, int]], ending: str, seed: int, bad: int, protocol: str, verdicts: bool,
    concurrency: int, size: int,
) -> None:  # fmt: skip
    """Deliver forty events to a server of that script, then once more to one that is well; raises AssertionError."""
    rows = events(40)
    faulty = {row["uuid"] for row in random.Random(seed).sample(rows, bad)}
    script, report = Misbehaving(spells, ending, faulty, verdicts), DeliveryReport()
    options = {"protocol": protocol, "concurrency": concurrency, "batch_events": size, "timeout_seconds": 5}
    with CaptureServer(script) as server:
        script.server = server
        began = time.monotonic()
        try:
            run(server.url, folder, rows, report, retry_seconds=0.2, **options)
        except DeliveryError as failure:
            assert "owed" in str(failure) or "PostHog" in str(failure)
            assert report.owed > 0
        assert report.events == 40 == report.acknowledged + report.dropped + report.owed
        assert report.dropped <= bad
        assert report.acknowledged <= len(set(server.uuids()))
        assert len(server.requests) < 1_500
        # The server is well again: exactly what is good arrives, and only what is bad is missing.
        server.script = lambda asked: script._as_posthog(asked, asked.path.startswith("/i/v1"))
        healed = DeliveryReport()
        # With the patience of an import: a machine that is busy may take seconds to answer.
        run(server.url, folder, rows, healed, **options | {"timeout_seconds": 60, "retry_seconds": 60})
        assert (healed.acknowledged, healed.dropped, healed.owed) == (40 - bad, bad, 0)
        assert {row["uuid"] for row in rows} - set(server.uuids()) == faulty
        assert time.monotonic() - began < 120


def test_an_event_that_is_taken_when_it_is_tried_once_more_is_not_dropped(tmp_path: Path) -> None:
    check_script(
        tmp_path, [("half then 413", 1), ("ok", 1), ("half then 413", 2)], "ok", 0, 0, "auto", verdicts=False,
        concurrency=1, size=1,
    )  # fmt: skip
