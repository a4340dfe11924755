"""Which ids of a day are linked, when, and which links PostHog will refuse."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_assets.core.schemas import STAGED_EVENTS
from posthog_assets.mapping.identity import Identities, Links
from posthog_assets_tests.mapping.test_mapping import NOON, map_rows, row


def properties(event: dict[str, Any]) -> dict[str, Any]:
    return json.loads(event["properties"])


def test_an_identity_is_linked_once_a_day_before_its_first_event(tmp_path: Path) -> None:
    late, early = NOON + timedelta(hours=2), NOON - timedelta(hours=2)
    rows = [
        row(1, anonymous_id="dev", timestamp=late),
        row(2, anonymous_id="dev", timestamp=early),
        row(3, anonymous_id="anonymous", timestamp=early),
        row(4, anonymous_id="ann", timestamp=early),
    ]
    events, report = map_rows(rows, tmp_path)
    assert [(e["event"], e["source_id"], e["timestamp"]) for e in events][:2] == [
        ("$identify", None, early),
        ("edit", "2", early),
    ]
    assert (report.staged, report.derived, report.rows) == (4, 1, 5)
    assert json.loads(events[0]["properties"])["$anon_distinct_id"] == "dev"
    again, _ = map_rows(rows[::-1], tmp_path)
    assert [e["uuid"] for e in again if e["event"] == "$identify"] == [events[0]["uuid"]]


def shared(tmp_path: Path, policy: str) -> tuple[list[tuple[str, str]], Any]:
    """Map a device that ann used first and bob after her, and one that only cleo used; return the links."""
    rows = [
        row(1, user_id="bob", anonymous_id="device", timestamp=NOON + timedelta(minutes=5)),
        row(2, user_id="ann", anonymous_id="device", timestamp=NOON),
        row(3, user_id="cleo", anonymous_id="own"),
    ]
    events, report = map_rows(rows, tmp_path, shared_devices=policy)
    links = [(properties(e)["$anon_distinct_id"], e["distinct_id"]) for e in events if e["event"] == "$identify"]
    return sorted(links), report


@pytest.mark.parametrize(
    ("policy", "links", "refused"),
    [
        ("first", [("device", "ann"), ("own", "cleo")], 0),
        ("skip", [("own", "cleo")], 0),
        ("all", [("device", "ann"), ("device", "bob"), ("own", "cleo")], 1),
    ],
)
def test_a_device_of_several_users_is_linked_as_wished_and_reported(
    policy: str, links: list[tuple[str, str]], refused: int, tmp_path: Path
) -> None:
    found, report = shared(tmp_path, policy)
    assert found == links
    assert (report.shared_devices, report.refused_merges, report.derived) == (1, refused, len(links))


def test_a_merge_of_an_identified_person_is_predicted_to_be_refused(tmp_path: Path) -> None:
    calls = [
        row(1, kind="identify", event="identify", user_id="ann", anonymous_id="a-1"),
        row(2, kind="alias", event="alias", user_id="bob", anonymous_id="ann", timestamp=NOON + timedelta(minutes=1)),
        # The same person already: nothing to refuse.
        row(3, kind="identify", event="identify", user_id="ann", anonymous_id="a-1", timestamp=NOON + timedelta(1)),
    ]
    _, report = map_rows(calls, tmp_path)
    assert report.refused_merges == 1


def links(*rows: tuple[int, str, str | None, str | None]) -> Links:
    """Return what (minute, kind, anonymous id, user id) come to."""
    people = Identities()
    for minute, kind, anonymous, user in rows:
        one = row(kind=kind, anonymous_id=anonymous, user_id=user, timestamp=NOON + timedelta(minutes=minute))
        people.add(pa.RecordBatch.from_pylist([one], schema=STAGED_EVENTS))
    return people.links("first")


def minute(links: Links) -> dict[tuple[str, str], int]:
    noon = int(NOON.timestamp()) * 1_000_000
    return {pair: (stamp - noon) // 60_000_000 for pair, stamp in links.pairs.items()}


def test_a_pair_is_linked_at_its_first_event_whichever_batch_has_it() -> None:
    found = links((9, "event", "dev", "ann"), (3, "event", "dev", "ann"), (5, "event", "dev", "ann"))
    assert minute(found) == {("dev", "ann"): 3}


def test_blanks_around_an_id_do_not_make_another_pair() -> None:
    found = links((9, "event", " dev", "ann"), (3, "event", "dev", "ann "))
    assert minute(found) == {("dev", "ann"): 3}


@pytest.mark.parametrize(
    ("anonymous", "user"), [("dev", "null"), ("0", "ann"), ("ann", "ann"), (" ", "ann"), (None, "ann")]
)
def test_an_id_that_is_no_persons_is_not_linked(anonymous: str | None, user: str) -> None:
    assert links((0, "event", anonymous, user)) == Links({}, 0, 0)


def test_a_pair_that_a_call_links_in_time_needs_no_link_of_ours() -> None:
    assert minute(links((3, "identify", "dev", "ann"), (5, "event", "dev", "ann"))) == {}
    assert minute(links((5, "identify", "dev", "ann"), (3, "event", "dev", "ann"))) == {("dev", "ann"): 3}


_IDS = st.sampled_from(["a", "A", " a ", "b\t", "user", "USER ", "", "  ", "ü", "ü\u2003", "\x1cc", "c", "x" * 30])
_ROWS = st.lists(st.tuples(_IDS, _IDS, st.sampled_from(["event", "identify"]), st.integers(0, 50)), max_size=30)


@given(_ROWS, st.integers(1, 4))
def test_pairs_are_those_of_ids_without_space_each_with_its_first_event(
    rows: list[tuple[str, str, str, int]], batches: int
) -> None:
    found = Identities()
    first: dict[tuple[str, str], int] = {}
    linked: dict[tuple[str, str], int] = {}
    for start in range(batches):
        some = rows[start::batches]
        columns = {name: [item[place] for item in some] for place, name in enumerate(("anonymous_id", "user_id"))}
        kinds, stamps = [item[2] for item in some], pa.array([item[3] for item in some], pa.int64())
        found.add(pa.RecordBatch.from_pydict(columns | {"kind": pa.array(kinds, pa.string()), "timestamp": stamps}))
    for anonymous, user, kind, stamp in rows:
        pair = anonymous.strip(), user.strip()
        if all(pair) and pair[0] != pair[1] and "user" not in (pair[0].lower(), pair[1].lower()):
            into = linked if kind == "identify" else first
            into[pair] = min(stamp, into.get(pair, stamp))
    wanted = {pair: stamp for pair, stamp in first.items() if pair not in linked or stamp < linked[pair]}
    assert found.links("all").pairs == wanted
    assert found.links("all").pairs == wanted
