"""What an event that is sent again says of its person."""

from __future__ import annotations

import json
from pathlib import Path

from posthog_assets_tests.destination.test_delivery import event, run
from posthog_assets_tests.fakes.capture_server import CaptureServer

PERSON = {"$set": {"plan": "pro"}, "$set_once": {"first": 1}, "a": 1, "inner": {"$set": {"kept": True}}}


def test_a_changed_event_is_sent_again_without_what_it_says_of_its_person(tmp_path: Path) -> None:
    before = event(0, properties=json.dumps(PERSON, separators=(",", ":")))
    after = event(0, properties=json.dumps(PERSON | {"a": 2}, separators=(",", ":")))
    new = event(1, properties=json.dumps(PERSON, separators=(",", ":")))
    with CaptureServer() as server:
        run(server.url, tmp_path, [before])
        report = run(server.url, tmp_path, [after, new])
        third = run(server.url, tmp_path, [after, new])
        sent = {one["properties"]["a"]: one["properties"] for one in server.stored}
    assert sent[2] == {"a": 2, "inner": {"$set": {"kept": True}}}
    assert sent[1] == PERSON
    assert (report.changed, report.without_person, report.sent) == (1, 1, 2)
    # What was left out is no change: nothing is sent a third time.
    assert (third.sent, third.already_acknowledged) == (0, 2)


def test_a_changed_event_says_it_again_where_the_import_file_asks_for_it(tmp_path: Path) -> None:
    with CaptureServer() as server:
        run(server.url, tmp_path, [event(0, properties=json.dumps(PERSON))])
        report = run(server.url, tmp_path, [event(0, properties=json.dumps(PERSON | {"a": 2}))], resend_persons=True)
        sent = server.stored[-1]["properties"]
    assert sent == PERSON | {"a": 2}
    assert report.without_person == 0
