"""How fast a day goes from the raw file to the last acknowledgement, and what it costs.

    python -m posthog_assets_tests.benchmarks.benchmark --events 500000 --shape amplitude

Everything is measured in one run on one machine, so that the ratios hold whatever the machine does: each step of the
pipeline through the functions the assets call, the official SDK's `capture()` loop, and the floor - bodies made before,
posted as fast as the server takes them. The server is a process of its own that only answers.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import itertools
import json
import multiprocessing
import os
import random
import resource
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from isal import igzip

from posthog_assets_tests.benchmarks import scale, volume
from posthog_assets_tests.benchmarks.against import against
from posthog_assets_tests.benchmarks.memory import PeakOfAll
from posthog_assets_tests.records.shapes import SHAPES

DAY = date(2024, 3, 1)
SDK_EVENTS = 20_000


def answering_server(faults: str, port_pipe: Any) -> None:
    """Answer every capture request with success, as cheaply as Python can; runs in a process of its own.

    With *faults* it answers every 20th request with 429, and `retry` for every 20th event; "later" asks for them
    after a second, as PostHog does.
    """
    import re

    find = re.compile(rb'"uuid":"([0-9a-f-]{36})"').findall
    requests = itertools.count(1)
    listener = socket.create_server(("127.0.0.1", 0))
    port_pipe.send(listener.getsockname()[1])

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray()
        while True:
            while (end := buffer.find(b"\r\n\r\n")) < 0:
                data = connection.recv(1 << 20)
                if not data:
                    return
                buffer += data
            head = bytes(buffer[:end]).lower()
            length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
            while len(buffer) < end + 4 + length:
                buffer += connection.recv(1 << 20)
            body = bytes(buffer[end + 4 : end + 4 + length])
            del buffer[: end + 4 + length]
            extra, status = b"", b"200 OK"
            if faults and next(requests) % 20 == 0:
                answer, status = b'{"error":"slow down"}', b"429 Too Many Requests"
            elif b"/i/v1/" in head[:40]:
                raw = igzip.decompress(body) if b"content-encoding: gzip" in head else body
                uuids = find(raw)
                answer = b'{"results":{"' + b'":{"result":"ok"},"'.join(uuids) + b'":{"result":"ok"}}}'
                if faults and len(uuids) >= 20:
                    results = [b'"' + uuid + b'":{"result":"ok"}' for uuid in uuids]
                    again = b'":{"result":"retry","details":"not_persisted"}'
                    results[::20] = [b'"' + uuid + again for uuid in uuids[::20]]
                    answer = b'{"results":{' + b",".join(results) + b"}}"
                    extra = b"Retry-After: 1\r\n" if faults == "later" else b""
            else:
                answer = b'{"status":"Ok"}'
            connection.sendall(
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
                % (status, extra, len(answer))
                + answer
            )

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def write_day(path: Path, shape: str, events: int, *, ordered: bool) -> None:
    """Write a gzipped day of records of one shape."""
    chance = random.Random(1)
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    step = 86_000_000_000 // events
    record = SHAPES[shape].records(chance)
    with gzip.open(path, "wb", 1) as file:
        for first in range(0, events, 20_000):
            numbers = list(range(first, min(first + 20_000, events)))
            if not ordered:
                chance.shuffle(numbers)
            lines = []
            for number in numbers:
                at = start + timedelta(microseconds=number * step + chance.randrange(step or 1))
                lines.append(orjson.dumps(record(number, at)))
            file.write(b"\n".join(lines) + b"\n")


def run_pipeline(folder: str, url: str, shape: str, results: Any) -> None:
    """Take the day through all steps in a process of its own, and report seconds, processor time and memory."""
    from posthog_assets.pipeline.config.import_file import Import
    from posthog_assets.pipeline.deliver import deliver_day
    from posthog_assets.pipeline.export import export_day
    from posthog_assets.pipeline.stage import stage_day
    from posthog_assets.pipeline.transform import transform_day

    imp = Import.read(
        {
            "name": "bench",
            "start_date": DAY.isoformat(),
            "storage": f"{folder}/data",
            "source": {"type": "files", "path": f"{folder}/{{day}}.jsonl.gz"},
            "dialect": SHAPES[shape].dialect,
            "destination": {"host": url, "project_api_key": "phc_bench"},
        }
    )
    measured: dict[str, tuple[float, float]] = {}
    chain: tuple[tuple[str, Callable[..., Any]], ...] = (
        ("raw_export", export_day),
        ("staged_events", stage_day),
        ("posthog_events", transform_day),
        ("imported_batches", deliver_day),
    )
    made = acknowledged = 0
    for name, step in chain:
        began, cpu = time.perf_counter(), volume.cpu_seconds()
        report = step(imp, DAY)
        measured[name] = (time.perf_counter() - began, volume.cpu_seconds() - cpu)
        made = getattr(report, "rows", made)
        acknowledged = getattr(report, "acknowledged", 0)
    # What is derived from the records - who is who - is sent as well.
    assert acknowledged == made, (acknowledged, made)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.send((measured, peak, acknowledged))


def run_sending(folder: str, url: str, name: str, concurrency: int, results: Any) -> None:
    """Send the transformed day again, to another server and with a ledger of its own."""
    from posthog_assets.destination.delivery import deliver
    from posthog_assets.destination.ledger import Ledger
    from posthog_assets.destination.settings import Destination
    from posthog_assets.pipeline.upstream import stored_events
    from posthog_assets.storage.store import Store

    def stored(columns: list[str] | None, names: Iterable[str] | None = None) -> Iterator[Any]:
        return stored_events(Store(f"{folder}/data", "bench"), DAY, columns, names)

    destination = Destination.model_validate({"host": url, "project_api_key": "phc_bench", "concurrency": concurrency})
    gc.disable()
    began, cpu = time.perf_counter(), volume.cpu_seconds()
    report = deliver(destination, Ledger(Store(f"{folder}/{name}", "bench"), str(DAY)), stored)
    assert report.owed == 0
    results.send((report.events / (time.perf_counter() - began), volume.cpu_seconds() - cpu, report.requests))


def run_floor(folder: str, url: str, results: Any) -> None:
    """Post ready bodies one after the other."""
    import urllib3

    from posthog_assets.destination.encoder import encode
    from posthog_assets.destination.settings import Protocol
    from posthog_assets.storage.parquet import read_batches

    bodies: list[tuple[int, bytes]] = []
    with Path(f"{folder}/data/bench/posthog_events/{DAY}.parquet").open("rb") as file:
        for batch in read_batches(file):
            encoded = encode(batch)
            for start in range(0, len(encoded), 5_000):
                stop = min(start + 5_000, len(encoded))
                raw = b"".join(encoded.slice(start, stop).body(Protocol.V1, "phc_bench", datetime.now(UTC)))
                bodies.append((stop - start, igzip.compress(raw, 1)))
            if len(bodies) >= 40:
                break
    pool = urllib3.PoolManager()
    began = time.perf_counter()
    for _, body in bodies:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        pool.request("POST", f"{url}/i/v1/analytics/events", body=body, headers=headers)
    results.send((sum(count for count, _ in bodies), time.perf_counter() - began))


def run_sdk(folder: str, url: str, shape: str, results: Any) -> None:
    """Send the first events of the day with the official SDK's `capture()`."""
    from posthog import Posthog

    with gzip.open(f"{folder}/{DAY}.jsonl.gz") as file:
        records = [json.loads(line) for _, line in zip(range(SDK_EVENTS), file, strict=False)]
    client = Posthog("phc_bench", host=url, historical_migration=True, gzip=True, max_queue_size=10**6, flush_at=1_000)
    began = time.perf_counter()
    for record in records:
        event, distinct_id, at, properties = SHAPES[shape].call(record)
        client.capture(event, distinct_id=distinct_id, properties=properties, timestamp=at)
    client.shutdown()
    results.send((len(records), time.perf_counter() - began))


def in_process(function: Callable[..., None], *arguments: Any) -> Any:
    """Run a function that sends its result through a pipe in a fresh process."""
    with started(function, *arguments) as (_, receiver):
        return receiver.recv()


@contextmanager
def started(function: Callable[..., None], *arguments: Any) -> Iterator[tuple[int, Any]]:
    """Run a function in a fresh process while the block runs; yields its number, and where its result comes from."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=function, args=(*arguments, sender))
    process.start()
    sender.close()
    assert process.pid is not None
    try:
        yield process.pid, receiver
    finally:
        process.join(5)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, help="default: 500,000; with --volume 10,000,000")
    parser.add_argument("--shape", choices=SHAPES, default="columns", help="what the records look like")
    parser.add_argument("--ordered", action="store_true", help="the day's records come in the order of time")
    parser.add_argument("--against", metavar="REVISION", help="only how much cheaper a day is than there (`against`)")
    parser.add_argument("--rounds", type=int, default=5, help="with --against: so many days each, in turn")
    parser.add_argument("--steps", action="store_true", help="only what each step of a mapping costs")
    parser.add_argument("--scale", action="store_true", help="1, 2 and 4 days at once (`scale`)")
    parser.add_argument("--volume", action="store_true", help="one big day, and memory over time (`volume`)")
    parser.add_argument("--days", type=int, default=1, help="with --volume: so many days, one after the other")
    parser.add_argument("--plot", type=Path, default=Path("volume.svg"), help="with --volume: where the plot goes")
    arguments = parser.parse_args()
    if arguments.scale:
        scale.scale(arguments.events or 500_000, serve)
        return
    if arguments.volume and arguments.days > 1:
        volume.many_days(arguments.events or 100_000, arguments.days, serve)
        return
    if arguments.volume:
        volume.volume(arguments.events or 10_000_000, arguments.plot, in_process, serve, ordered=arguments.ordered)
        return
    if arguments.against:
        compare(arguments.against, arguments.shape, arguments.events or 100_000, arguments.rounds, arguments.ordered)
        return
    if arguments.steps:
        from posthog_assets_tests.benchmarks.mapping_steps import run_steps

        run_steps(arguments.events or 500_000)
        return
    arguments.events = arguments.events or 500_000
    gc.collect()
    folder = tempfile.mkdtemp(prefix="posthog-benchmark-")
    (server, url), (faulty, faulty_url), (later, later_url) = serve(""), serve("now"), serve("later")
    try:
        write_day(Path(folder) / f"{DAY}.jsonl.gz", arguments.shape, arguments.events, ordered=arguments.ordered)
        with started(run_pipeline, folder, url, arguments.shape) as (pid, receiver), PeakOfAll(pid) as together:
            measured, _, acknowledged = receiver.recv()
        assert acknowledged >= arguments.events, (acknowledged, arguments.events)
        floor_events, floor_seconds = in_process(run_floor, folder, url)
        sdk_events, sdk_seconds = in_process(run_sdk, folder, url, arguments.shape)
        sending = {
            "one lane": in_process(run_sending, folder, url, "one", 1),
            "four lanes": in_process(run_sending, folder, url, "four", 4),
            "faults": in_process(run_sending, folder, faulty_url, "faults", 4),
            "faults, Retry-After": in_process(run_sending, folder, later_url, "later", 4),
        }
    finally:
        server.kill()
        faulty.kill()
        later.kill()
        shutil.rmtree(folder, ignore_errors=True)
    show(arguments.events, measured, together.mb, floor_events / floor_seconds, sdk_events / sdk_seconds)
    show_sending(sending, arguments.events)


def compare(revision: str, shape: str, events: int, rounds: int, ordered: bool) -> None:
    """Write a day of one shape, and have this tree and *revision* take it in turn."""
    server, url = serve("")
    try:
        with tempfile.TemporaryDirectory(prefix="posthog-benchmark-") as folder:
            day = Path(folder) / f"{DAY}.jsonl.gz"
            write_day(day, shape, events, ordered=ordered)
            against(revision, shape, events, rounds, day, url, SHAPES[shape].dialect)
    finally:
        server.kill()


def serve(faults: str) -> tuple[Any, str]:
    """Start an answering server; return its process and URL."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    server = context.Process(target=answering_server, args=(faults, sender), daemon=True)
    server.start()
    return server, f"http://127.0.0.1:{receiver.recv()}"


def show_sending(sending: dict[str, tuple[float, float, int]], events: int) -> None:
    """Print how fast the same day is sent under different conditions, against the first."""
    print(f"\n{'sending alone':20} {'events/s':>10} {'µs of CPU/event':>16} {'requests':>9}")
    for name, (rate, cpu, requests) in sending.items():
        print(f"{name:20} {rate:>10,.0f} {cpu / events * 1e6:>16.2f} {requests:>9,}")
    best = max(sending["one lane"][0], sending["four lanes"][0])
    print(f"5 % `retry` and a 429 every 20th request cost {1 - sending['faults'][0] / best:.0%}")


def show(events: int, measured: dict[str, tuple[float, float]], peak: float, floor: float, sdk: float) -> None:
    """Print one line a step, then the whole way against the SDK and the floor."""
    print(f"{events:,} events, {os.cpu_count()} cores")
    print(f"{'step':18} {'events/s':>10} {'seconds':>9} {'µs of CPU/event':>16}")
    for name, (seconds, cpu) in measured.items():
        print(f"{name:18} {events / seconds:>10,.0f} {seconds:>9.2f} {cpu / events * 1e6:>16.2f}")
    seconds = sum(wall for wall, _ in measured.values())
    cpu = sum(processor for _, processor in measured.values())
    whole = events / seconds
    print(f"{'whole way':18} {whole:>10,.0f} {seconds:>9.2f} {cpu / events * 1e6:>16.2f}")
    print(f"{'SDK capture()':18} {sdk:>10,.0f}   the whole way is {whole / sdk:.1f} times as fast")
    print(
        f"{'ready bodies':18} {floor:>10,.0f}   sending reaches {events / measured['imported_batches'][0] / floor:.0%}"
    )
    print(f"peak memory {peak:,.0f} MB, of all processes together")


if __name__ == "__main__":
    main()
