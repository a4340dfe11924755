"""Small files that unpack to gigabytes: what each takes of memory, through export, staging and mapping.

    python -m posthog_assets_tests.benchmarks.bombs
    python -m posthog_assets_tests.benchmarks.bombs "a Parquet page of 600 MB" "an endless quoted value"

Belongs here: making the bombs, and the day each of them is, in a process of its own. Does not belong here: what is
refused with which words (the tests of `sources.formats`).

Ends with an error where a day took more than 500 MB: the process of its own, or all that it started together with it.
A long part is divided among processes as soon as that is possible, as it is on a slow machine: that takes most memory.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip

from posthog_assets_tests.benchmarks.memory import PeakOfAll

DAY: Final = date(2024, 3, 1)
MOST_MB: Final = 500
_MIB: Final = b"x" * (1 << 20)
_GOOD: Final = b'{"id":1,"what":"page viewed","user":"u","at":"2024-03-01T10:00:00Z"}\n'
_HEAD: Final = b"id,what,user,at,note\n"
_MARK: Final = b"m" * 16


def _packed(path: Path, pieces: Iterable[bytes]) -> None:
    with igzip.open(path, "wb", 1) as file:
        for piece in pieces:
            file.write(piece)


def _repeat(piece: bytes, times: int) -> Iterable[bytes]:
    return (piece for _ in range(times))


def _long_lines(path: Path, mib: int, times: int) -> None:
    def pieces() -> Iterable[bytes]:
        yield _GOOD
        for _ in range(times):
            yield _GOOD[:-2] + b',"note":"'
            yield from _repeat(_MIB, mib)
            yield b'"}\n'
        yield _GOOD

    _packed(path, pieces())


def _many_values(path: Path) -> None:
    _packed(path, (_GOOD, b'{"a":[', *_repeat(b"[]," * (1 << 18), 19), b"0]}\n", _GOOD))


def _json_array(path: Path) -> None:
    _packed(path, (b"[", _GOOD[:-1], b',{"a":[', *_repeat(b"[]," * (1 << 18), 50), b"0]},", _GOOD[:-1], b"]"))


def _deep_array(path: Path) -> None:
    _packed(path, (b"[", *_repeat(b"[" * (1 << 20), 60)))


def _csv_value(path: Path) -> None:
    _packed(path, (_HEAD, b'1,"', *_repeat(_MIB, 1_000)))


def _csv_header(path: Path) -> None:
    _packed(path, _repeat(_MIB, 1_000))


def _csv_long_rows(path: Path) -> None:
    row = (b'1,page viewed,u,2024-03-01T10:00:00Z,"', *_repeat(_MIB, 60), b'\xf0\x9f\x98\x80"\n')
    _packed(path, (_HEAD, *row * 4))


def _csv_commas(path: Path) -> None:
    _packed(path, (_HEAD, b"1", *_repeat(b"," * (1 << 20), 500)))


def _csv_wide(path: Path) -> None:
    columns = b",".join(b"c%d" % number for number in range(90_000))
    _packed(path, (columns + b"\n", *_repeat(b"," * 89_999 + b"\n", 100)))


def _csv_empty_lines(path: Path) -> None:
    _packed(path, (_HEAD, *_repeat(b"\n" * (1 << 20), 10), b"1,page viewed,u,2024-03-01T10:00:00Z,\n"))


def _parquet(path: Path, rows: int, note: pa.Array, **options: Any) -> None:
    table = pa.table(
        {
            "id": pa.array(range(rows)), "what": pa.array(["page viewed"] * rows), "user": pa.array(["u"] * rows),
            "at": pa.array(["2024-03-01T10:00:00Z"] * rows), "note": note,
        }
    )  # fmt: skip
    pq.write_table(table, path, compression="zstd", row_group_size=rows, **options)


def _same(value: Any, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def _repeated_cell(path: Path, rows: int = 500) -> None:
    _parquet(path, rows, _same("x" * 800_000, rows))


def _huge_repeated_cell(path: Path) -> None:
    _parquet(path, 100, _same("x" * (60 << 20), 100))


def _plain_cells(path: Path, sizes: list[int]) -> None:
    """Write cells of so many MiB, each on a page of its own, since none is there twice."""
    cells = pa.array([bytes([65 + number]) * (size << 20) for number, size in enumerate(sizes)], pa.large_binary())
    _parquet(path, len(sizes), cells.cast(pa.binary()), use_dictionary=False, write_batch_size=1)


def _cells_of_columns(path: Path, mib: int, columns: int) -> None:
    table = pa.table({f"c{number}": [bytes([65 + number]) * (mib << 20)] * 2 for number in range(columns)})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_batch_size=1)


def _cell_among_others(path: Path) -> None:
    cells = [b"x" * 1_000] * 20_000 + [b"y" * (80 << 20)] + [b"z" * 1_000] * 5_000
    note = pa.array(cells, pa.binary())
    _parquet(path, len(cells), note, use_dictionary=False, data_page_size=1 << 30, write_batch_size=len(cells))


def _cells_side_by_side(path: Path) -> None:
    """Write two cells of 100 MB, the last of its page and the first of the next one."""
    small = [b"x"] * 100
    note = pa.array([*small, b"y" * (100 << 20), b"z" * (100 << 20), *small], pa.binary())
    _parquet(path, len(note), note, use_dictionary=False, data_page_size=1, write_batch_size=101)


def _cells_of_shared_beginnings(path: Path) -> None:
    note = pa.array([b"x" * 3_000_000] * 400, pa.binary())
    _parquet(path, 400, note, use_dictionary=False, column_encoding={"note": "DELTA_BYTE_ARRAY"})


def _cells_in_a_row(path: Path) -> None:
    """Write 60 long cells one after the other, among so many short ones that the average says nothing."""
    small = [b"x"] * 100_000
    note = pa.array([*small, *[bytes([65 + number % 60]) * 15_000_000 for number in range(60)], *small], pa.binary())
    _parquet(path, len(note), note, use_dictionary=False, write_batch_size=1)


def _pages_of_a_database(path: Path) -> None:
    """Write two columns of pages of 100 MB, as DuckDB does where values are long."""
    note = pa.array([b"x" * 1_000] * 200_000, pa.binary())
    table = pa.table({"id": range(200_000), "what": ["page viewed"] * 200_000, "user": ["u"] * 200_000,
                      "at": ["2024-03-01T10:00:00Z"] * 200_000, "note": note, "more": note})  # fmt: skip
    options: dict[str, Any] = {"data_page_size": 100_000_000, "write_batch_size": 95_000}
    pq.write_table(table, path, compression="zstd", use_dictionary=False, row_group_size=200_000, **options)


def _repeated_in_lists(path: Path) -> None:
    members = pa.array(["x" * 500_000] * 20).dictionary_encode().dictionary.take(pa.array([0] * 200))
    lists = pa.ListArray.from_arrays(pa.array(range(0, 201, 2), pa.int32()), members)
    _parquet(path, 100, lists)


def _large_page(path: Path) -> None:
    cell = pa.array([b"x" * 1_000], pa.binary()).take(pa.array([0] * 600_000))
    _parquet(path, 600_000, cell, use_dictionary=False, data_page_size=1 << 30, write_batch_size=600_000)


def _long_list(path: Path) -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 60_000_000], pa.int32()), pa.nulls(60_000_000))
    _parquet(path, 1, lists)


def _lists_of_nulls(path: Path) -> None:
    lists = pa.ListArray.from_arrays(pa.array(range(0, 40_000_001, 4_000_000), pa.int32()), pa.nulls(40_000_000))
    _parquet(path, 10, lists)


def _zigzag(value: int) -> bytes:
    found, value = bytearray(), (value << 1) ^ (value >> 63)
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _avro(path: Path, schema: bytes, count: int, content: bytes) -> None:
    out = io.BytesIO()
    out.write(b"Obj\x01" + _zigzag(1) + _zigzag(11) + b"avro.schema" + _zigzag(len(schema)) + schema + b"\0" + _MARK)
    out.write(_zigzag(count) + _zigzag(len(content)) + content + _MARK)
    path.write_bytes(out.getvalue())


def _empty_records(path: Path) -> None:
    _avro(path, b'{"type":"record","name":"r","fields":[]}', 10**11, b"")


def _array_of_nulls(path: Path) -> None:
    schema = b'{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}'
    _avro(path, schema, 1, _zigzag(10**8) + _zigzag(0))


def _array_of_small(path: Path) -> None:
    lists = b'{"type":"array","items":{"type":"array","items":"int"}}'
    schema = b'{"type":"record","name":"r","fields":[{"name":"a","type":' + lists + b"}]}"
    _avro(path, schema, 1, _zigzag(20_000_000) + bytes(20_000_000) + b"\0")


def _zip_of_gzip(path: Path) -> None:
    import zipfile

    inner = io.BytesIO()
    with igzip.open(inner, "wb", 1) as file:
        for _ in range(500):
            file.write(b"\n" * (1 << 20))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl.gz", inner.getvalue())


def _beside(path: Path, beside: dict[str, Any], members: int, member: bytes = b'{"n":1}', times: int = 1) -> None:
    """Write records with a list `items`, and the fields *beside* it."""
    head = json.dumps({"id": 1, "what": "page viewed", "user": "u", "at": "2024-03-01T10:00:00Z"} | beside).encode()

    def pieces() -> Iterable[bytes]:
        for _ in range(times):
            yield head[:-1] + b',"items":['
            left = members - 1
            while left:
                yield (member + b",") * min(left, 10_000)
                left -= min(left, 10_000)
            yield member + b"]}\n"
        yield _GOOD

    _packed(path, pieces())


def _fields(count: int) -> dict[str, int]:
    return {f"f{number}": 1 for number in range(count)}


#: What the bomb is: the name of its file, and what writes it.
BOMBS: Final[dict[str, tuple[str, Callable[[Path], None]]]] = {
    "nothing: one good record": ("a.jsonl.gz", lambda path: _packed(path, (_GOOD,))),
    "a line of 60 MB": ("a.jsonl.gz", lambda path: _long_lines(path, 60, 1)),
    "40 lines of 15 MB": ("a.jsonl.gz", lambda path: _long_lines(path, 15, 40)),
    "50 lines of 3 MB": ("a.jsonl.gz", lambda path: _long_lines(path, 3, 50)),
    "500 lines of 880 kB": ("a.jsonl.gz", lambda path: _short_of_an_event(path)),
    "a line of 5 million lists": ("a.jsonl.gz", _many_values),
    "an element of 13 million lists": ("a.json.gz", _json_array),
    "60 million open brackets": ("a.json.gz", _deep_array),
    "an endless quoted value": ("a.csv.gz", _csv_value),
    "an endless header": ("a.csv.gz", _csv_header),
    "four CSV rows of 60 MB": ("a.csv.gz", _csv_long_rows),
    "500 million commas": ("a.csv.gz", _csv_commas),
    "90,000 columns": ("a.csv.gz", _csv_wide),
    "10 million empty lines": ("a.csv.gz", _csv_empty_lines),
    "a Parquet cell of 800 kB, 500 times": ("a.parquet", _repeated_cell),
    "a Parquet cell of 60 MB, 100 times": ("a.parquet", _huge_repeated_cell),
    "three Parquet cells of 60 MB": ("a.parquet", lambda path: _plain_cells(path, [60, 60, 60])),
    "Parquet cells of 80 and 60 MB": ("a.parquet", lambda path: _plain_cells(path, [60, 70, 80, 60])),
    "a Parquet cell of 103 MB among cells of 60 MB": ("a.parquet", lambda path: _plain_cells(path, [60, 103, 60, 60])),
    "Parquet cells of 40 MB in six columns": ("a.parquet", lambda path: _cells_of_columns(path, 40, 6)),
    "a Parquet cell of 80 MB among 25,000": ("a.parquet", _cell_among_others),
    "Parquet cells of 100 MB side by side": ("a.parquet", _cells_side_by_side),
    "Parquet cells of 3 MB that begin the same, 400": ("a.parquet", _cells_of_shared_beginnings),
    "60 Parquet cells of 15 MB among 200,000": ("a.parquet", _cells_in_a_row),
    "Parquet pages of 100 MB, two columns": ("a.parquet", _pages_of_a_database),
    "Parquet lists of one value of 500 kB": ("a.parquet", _repeated_in_lists),
    "a Parquet page of 600 MB": ("a.parquet", _large_page),
    "a Parquet list of 60 million nulls": ("a.parquet", _long_list),
    "ten Parquet lists of 4 million nulls": ("a.parquet", _lists_of_nulls),
    "10^11 Avro records without bytes": ("a.avro", _empty_records),
    "an Avro array of 10^8 nulls": ("a.avro", _array_of_nulls),
    "an Avro array of 20 million arrays": ("a.avro", _array_of_small),
    "500 MB in gzip in zip": ("a.zip", _zip_of_gzip),
    "4 MB beside a list of 100,000": ("a.jsonl.gz", lambda path: _beside(path, {"note": "x" * 4_000_000}, 100_000)),
    "5 MB beside a list of 1,000": ("a.jsonl.gz", lambda path: _beside(path, {"note": "x" * 5_000_000}, 1_000)),
    "100 kB beside a list of 2,000, twice": (
        "a.jsonl.gz", lambda path: _beside(path, {"note": "x" * 100_000}, 2_000, times=2)
    ),
    "300,000 fields beside a list of 1,000": ("a.jsonl.gz", lambda path: _beside(path, _fields(300_000), 1_000)),
    "a list of 1,900,000 members": ("a.jsonl.gz", lambda path: _beside(path, {}, 1_900_000, b"1")),
    "a list of 20 members of 700 kB": (
        "a.jsonl.gz", lambda path: _beside(path, {}, 20, b'{"n":"' + _MIB[:700_000] + b'"}')
    ),
    "ten events of each of 40 records of 3 MB": ("a.jsonl.gz", lambda path: _long_lines(path, 3, 40)),
    "ten events of each of 20 records of 15 MB": ("a.jsonl.gz", lambda path: _long_lines(path, 15, 20)),
    "a Parquet cell of 800 kB in ten events, 100 times": ("a.parquet", lambda path: _repeated_cell(path, 100)),
}  # fmt: skip

_UNFOLD: Final[dict[str, Any]] = {"source": {"unfold": "items"}}
_TEN_EVENTS: Final[dict[str, Any]] = {
    "dialect": {
        "event": None,
        "timestamp": None,
        "events": [{"event": {"value": f"event {n}"}, "timestamp": {"column": "at"}} for n in range(10)],
    }
}


def settings_of(name: str) -> dict[str, Any]:
    """Return what the import of a bomb has beside what all have."""
    return _UNFOLD if " list of " in name and "Parquet" not in name else _TEN_EVENTS if "ten events" in name else {}


def _short_of_an_event(path: Path) -> None:
    def pieces() -> Iterable[bytes]:
        for number in range(500):
            yield _GOOD.replace(b'"id":1', b'"id":%d' % number)[:-2] + b',"note":"' + _MIB[:880_000] + b'"}\n'

    _packed(path, pieces())


def run_day(folder: str, extra: dict[str, Any], results: Any) -> None:
    """Take the day in *folder* to events, in a process of its own; sends (rows, rejected, error, peak MB)."""
    from posthog_assets.core.errors import PosthogAssetsError
    from posthog_assets.pipeline import staging
    from posthog_assets.pipeline.config.import_file import Import
    from posthog_assets.pipeline.export import export_day
    from posthog_assets.pipeline.stage import stage_day
    from posthog_assets.pipeline.transform import transform_day

    # Else the peak would depend on how busy the machine is.
    for limit in ("_WORTH_SECONDS", "_WORTH_EACH", "_TELLING_SECONDS"):
        setattr(staging, limit, 0.0)
    imp = Import.read(
        {
            "name": "bomb", "start_date": DAY.isoformat(), "end_date": DAY.isoformat(), "storage": f"{folder}/data",
            "source": {"type": "files", "path": f"{folder}/{{day}}/a.*"} | extra.get("source", {}),
            "dialect": {
                "type": "columns", "event": {"column": "what"}, "user_id": {"column": "user"},
                "timestamp": {"column": "at"}, "source_id": {"column": "id"},
            } | extra.get("dialect", {}),
            "destination": {"host": "http://127.0.0.1:1", "project_api_key": "phc_bomb"},
        }
    )  # fmt: skip
    rows = rejected = 0
    said = ""
    try:
        export_day(imp, DAY)
        report = stage_day(imp, DAY)
        rows, rejected = report.rows, report.rejected
        said = ", ".join(report.reject_reasons)
        transform_day(imp, DAY)
    except PosthogAssetsError as error:
        said = str(error)
    results.send((rows, rejected, said, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measure(name: str) -> float:
    """Make one bomb, take it through a day, print a line; return the peak in MB."""
    file = BOMBS[name][0]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="posthog-bomb-") as folder:
        path = Path(folder) / DAY.isoformat() / file
        path.parent.mkdir()
        maker = context.Process(target=write_bomb, args=(name, str(path)))
        maker.start()
        maker.join()
        receiver, sender = context.Pipe(duplex=False)
        began = time.monotonic()
        process = context.Process(target=run_day, args=(folder, settings_of(name), sender))
        process.start()
        sender.close()
        assert process.pid is not None
        with PeakOfAll(process.pid) as together:
            try:
                rows, rejected, said, peak = receiver.recv()
            except EOFError:
                rows, rejected, said, peak = 0, 0, "the process died", float("inf")
        process.join()
        peak = max(peak, together.mb)
        size = path.stat().st_size
    print(
        f"{name:50} {size:>12,} {peak:>8,.0f} {together.processes:>9} {time.monotonic() - began:>8.1f} {rows:>6,} "
        f"{rejected:>9,}  {said.replace(folder, '')[:160]}",
        flush=True,
    )
    return peak


def write_bomb(name: str, path: str) -> None:
    """Write one bomb; in a process of its own, since making one may take gigabytes."""
    BOMBS[name][1](Path(path))


def main() -> None:
    parser = argparse.ArgumentParser(description="Take files that unpack to gigabytes through a day each.")
    parser.add_argument("bombs", nargs="*", metavar="BOMB", help=f"one of: {'; '.join(BOMBS)}. Default: all of them")
    names = parser.parse_args().bombs or list(BOMBS)
    if unknown := sorted(set(names) - set(BOMBS)):
        parser.error(f"no bomb is called {unknown[0]!r}; they are: {'; '.join(BOMBS)}")
    print(
        f"{'bomb':50} {'bytes':>12} {'peak MB':>8} {'processes':>9} {'seconds':>8} {'rows':>6} {'rejected':>9}  "
        "what is said"
    )
    peaks = {name: measure(name) for name in names}
    if too_much := [name for name, peak in peaks.items() if peak > MOST_MB]:
        sys.exit(f"above {MOST_MB} MB: {', '.join(too_much)}")


if __name__ == "__main__":
    main()
