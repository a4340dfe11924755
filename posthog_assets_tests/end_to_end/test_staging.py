"""A day staged by several processes is the day staged by one."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from isal import igzip

from posthog_assets.core.errors import BrokenPart
from posthog_assets.dialects import Dialect, Mixpanel
from posthog_assets.dialects.notes import Notes, notes_of
from posthog_assets.dialects.posthog import PostHogEvents
from posthog_assets.pipeline import staging as stagers
from posthog_assets.pipeline.staging import Stagers
from posthog_assets.sources.formats import RecordChunk, detect
from posthog_assets_tests.records.shapes_mixpanel import mixpanel


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test the machine's places for itself, whatever else runs on the machine."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def _lines(count: int) -> list[bytes]:
    chance, start = random.Random(3), datetime(2024, 3, 1, tzinfo=UTC)
    return [orjson.dumps(mixpanel(n, start + timedelta(seconds=n % 86_000), chance)) for n in range(count)]


def _stage(dialect: Dialect, raw: bytes, name: str, most: int) -> pa.Table:
    with Stagers(dialect, 10**6, most) as crew:
        if most > 1:
            assert crew.start(wait=True) == most
        return pa.Table.from_batches(list(crew.stage(io.BytesIO(raw), detect(name), name)))


def _hard_lines() -> list[bytes]:
    lines = _lines(12_000)
    lines[5] = b"no JSON"
    lines[700] = b'{"event": "half'
    lines[3_000] = '{"event": "Łódź", "properties": {"distinct_id": "ż", "time": 1709265141}}\r'.encode()
    lines[4_000:4_000] = [b"", b"  ", b"\r"]
    lines[9_000] = b"[1, 2]"
    lines += [b"", b"   "]
    return lines


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zip"])
def test_rows_are_the_same_in_the_same_order_however_many_processes_make_them(name: str) -> None:
    text = b"\n".join(_hard_lines())
    if name.endswith(".zip"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("1.jsonl", text)
            archive.writestr("2.json.gz", igzip.compress(b"\n".join(_lines(3_000))))
            archive.writestr("3.jsonl", b"\n\n" + b"\n".join(_lines(2_000)))
        raw = file.getvalue()
    else:
        raw = igzip.compress(text) if name.endswith(".gz") else text
    dialect = Mixpanel.model_validate({})

    alone, together = _stage(dialect, raw, name, 1), _stage(dialect, raw, name, 2)

    assert alone.equals(together)
    assert alone.num_rows >= 12_000
    assert {"not valid JSON", "not a JSON object but an array"} <= {
        (reason or "").split(": ")[0] for reason in together["reject_reason"].to_pylist()
    }


class Raising(Dialect):
    """A dialect with a bug."""

    def stage(self, chunk: RecordChunk, part: str) -> pa.RecordBatch:
        if any(type(record) is dict and record.get("event") == "odd" for record in chunk.records):
            raise ZeroDivisionError("a bug of the dialect")
        return Mixpanel.model_validate({}).stage(chunk, part)


def test_versions_of_events_are_staged_elsewhere_with_the_time_they_were_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = {"uuid": "018f6c9a-7d1e-7000-8000-1234567890ab", "event": "e", "distinct_id": "ann"}
    times = {"timestamp": "2024-03-01T10:00:00Z", "created_at": "2024-03-01T10:00:09Z"}
    # Nothing is staged here.
    monkeypatch.setattr(stagers, "_staged", None)
    table = _stage(PostHogEvents.model_validate({}), orjson.dumps(record | times) + b"\n", "a.jsonl", 2)
    assert table["stored_at"].to_pylist() == [datetime(2024, 3, 1, 10, 0, 9, tzinfo=UTC)]


def test_an_error_of_a_dialect_is_raised_as_if_there_were_no_processes() -> None:
    raw = b"\n".join([*_lines(3_000), b'{"event": "odd"}', *_lines(3_000)])

    with pytest.raises(ZeroDivisionError, match="a bug of the dialect"):
        _stage(Raising(), raw, "a.jsonl", 2)


def test_lines_of_a_process_that_dies_are_staged_here() -> None:
    raw, dialect = b"\n".join(_lines(20_000)), Mixpanel.model_validate({})
    expected = _stage(dialect, raw, "a.jsonl", 1)

    with Stagers(dialect, 10**6, 2) as crew:
        crew.start(wait=True)
        batches = []
        for number, batch in enumerate(crew.stage(io.BytesIO(raw), detect("a.jsonl"), "a.jsonl")):
            batches.append(batch)
            if number == 2:
                os.kill(crew.processes[0], signal.SIGKILL)
        # What is left of them takes no more lines.
        assert crew.processes == []

    assert pa.Table.from_batches(batches).equals(expected)


def test_processes_that_die_before_they_have_lines_leave_them_to_be_staged_here() -> None:
    raw, dialect = b"\n".join(_lines(3_000)), Mixpanel.model_validate({})
    expected = _stage(dialect, raw, "a.jsonl", 1)

    with Stagers(dialect, 10**6, 2) as crew:
        crew.start(wait=True)
        for number in crew.processes:
            os.kill(number, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and crew._pool._flags.broken is None:
            time.sleep(0.01)
        batches = list(crew.stage(io.BytesIO(raw), detect("a.jsonl"), "a.jsonl"))
        assert crew.processes == []

    assert pa.Table.from_batches(batches).equals(expected)


def test_a_part_that_breaks_off_is_broken_with_several_processes_too() -> None:
    raw = igzip.compress(b"\n".join(_lines(8_000)))[:-2_000]

    with pytest.raises(BrokenPart, match="a.jsonl.gz cannot be read"):
        _stage(Mixpanel.model_validate({}), raw, "a.jsonl.gz", 2)


def test_a_dialect_that_only_this_process_knows_is_staged_here() -> None:
    class Here(Mixpanel):
        pass

    raw, dialect = b"\n".join(_lines(2_000)), Here.model_validate({})

    with Stagers(dialect, 10**6, 2) as crew:
        assert crew.start(wait=True) == 0
        staged = pa.Table.from_batches(list(crew.stage(io.BytesIO(raw), detect("a.jsonl"), "a.jsonl")))

    assert staged.equals(_stage(Mixpanel.model_validate({}), raw, "a.jsonl", 1))


def test_all_runs_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stagers, "cores", lambda: 3)
    dialect = Mixpanel.model_validate({})

    with Stagers(dialect, 10**6, 2) as first, Stagers(dialect, 10**6, 2) as second:
        assert first.start(wait=True) == 2
        # One core is left, and one process would win nothing.
        assert second.start(wait=True) == 0
    with Stagers(dialect, 10**6, 2) as third:
        assert third.start(wait=True) == 2


def test_processes_end_with_the_day() -> None:
    with Stagers(Mixpanel.model_validate({}), 10**6, 2) as crew:
        crew.start(wait=True)
        numbers = crew.processes

    assert len(numbers) == 2
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def test_processes_are_started_only_for_a_day_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stagers, "_TELLING_SECONDS", 0.0)
    monkeypatch.setattr(stagers, "_WORTH_EACH", 0.0)
    started: list[bool] = []
    monkeypatch.setattr(Stagers, "start", lambda self: started.append(True))
    # The lines that are read first tell nothing: what they take is loading libraries.
    raw, dialect = b"\n".join(_lines(6_000)), Mixpanel.model_validate({})
    assert len(raw) > 2 * stagers._SIZE

    for records in (6_000, 10**7):
        with Stagers(dialect, records, 2) as crew:
            list(crew.stage(io.BytesIO(raw), detect("a.jsonl"), "a.jsonl"))

    assert started == [True]


def test_a_process_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import os, signal\n"
        "from posthog_assets.dialects import Mixpanel\n"
        "from posthog_assets.pipeline.staging import Stagers\n"
        "crew = Stagers(Mixpanel.model_validate({}), 10**6, 2)\n"
        "crew.start(wait=True)\n"
        "print(*crew.processes, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    told = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)

    assert told.returncode == -signal.SIGKILL
    numbers = [int(number) for number in told.stdout.split()]
    assert len(numbers) == 2
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(_lives(number) for number in numbers):
        time.sleep(0.05)
    assert not any(_lives(number) for number in numbers)


def test_a_daemonic_process_which_may_start_none_stages_alone(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import multiprocessing\n"
        "from posthog_assets.dialects import Mixpanel\n"
        "from posthog_assets.pipeline.staging import Stagers\n"
        "def work():\n"
        "    with Stagers(Mixpanel.model_validate({}), 10**6, 2) as crew:\n"
        "        print(crew.start(wait=True), crew.processes, flush=True)\n"
        "if __name__ == '__main__':\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=work, daemon=True)\n"
        "    worker.start()\n"
        "    worker.join(60)\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)

    assert (run.stdout.strip(), run.stderr) == ("0 []", "")


def _lives(number: int) -> bool:
    # A process nobody waits for stays as a zombie where no init collects it.
    stat = Path(f"/proc/{number}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_fields_that_are_left_out_are_counted_in_every_process() -> None:
    lines = [orjson.dumps(orjson.loads(line) | {"odd": n}) for n, line in enumerate(_lines(20_000))]
    found = Notes()
    with Stagers(Mixpanel(), 10**6, 2) as crew:
        assert crew.start(wait=True) == 2
        for batch in crew.stage(io.BytesIO(b"\n".join(lines)), detect("a.jsonl"), "a.jsonl"):
            found.add(notes_of(batch.schema.metadata))
    assert found == Notes({"odd": 20_000})
