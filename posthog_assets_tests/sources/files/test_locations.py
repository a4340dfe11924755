"""Where files can be, and what is said when they cannot be read."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest

from posthog_assets.core.errors import ImportFileError, NoExport, SourceError, SourceUnavailable
from posthog_assets.sources.files.locations import Found, Location, Matcher, installation_of
from posthog_assets.storage.store import Store
from posthog_assets_tests.sources.files.exporting import export, files, write


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), "wikipedia")


def test_files_in_memory_are_files_too(store: Store) -> None:
    fsspec.filesystem("memory").pipe("/exports/2015-09-12/a.jsonl", b'{"n":1}\n')
    raw = export(files(path="memory://exports/{day}/*.jsonl"), store)
    assert [(part.origin, part.records) for part in raw.parts()] == [("memory:///exports/2015-09-12/a.jsonl", 1)]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp", reason="fsspec reads http:// with aiohttp, which is not installed")
    (tmp_path / "web").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def send_head(self) -> Any:
            if "forbidden" in self.path:
                self.send_error(403)
                return None
            if "busy" in self.path:
                self.send_response(int(self.path.split("/")[2]))
                self.send_header("Retry-After", "37")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            return super().send_head()

        def copyfile(self, source: Any, outputfile: Any) -> None:
            # The size it announced is never reached.
            super().copyfile(io.BytesIO(source.read(20)) if "half" in self.path else source, outputfile)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path / "web"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_files_on_the_web_are_files_too_and_queries_stay_secret(web: str, tmp_path: Path, store: Store) -> None:
    write(tmp_path / "web/2015-09-12.jsonl.gz", gzip.compress(b'{"n":1}\n'))
    raw = export(files(path=f"{web}/{{day}}.jsonl.gz?signature=abc"), store)
    assert [(part.origin, part.records) for part in raw.parts()] == [(f"{web}/2015-09-12.jsonl.gz?***", 1)]
    assert raw.parts()[0].name.endswith(".jsonl.gz")
    with pytest.raises(NoExport, match=f"there is no file at {web}/2015-09-13.jsonl.gz"):
        export(files(path=f"{web}/{{day}}.jsonl.gz"), store, date(2015, 9, 13))


def test_a_forbidden_file_and_an_unreachable_host_are_told_apart(web: str, store: Store) -> None:
    with pytest.raises(SourceError, match="no permission to read") as caught:
        export(files(path=f"{web}/forbidden/{{day}}.jsonl"), store)
    assert not caught.value.temporary
    with pytest.raises(SourceUnavailable, match="http://127.0.0.1:9/2015-09-12.jsonl could not be reached"):
        export(files(path="http://127.0.0.1:9/{day}.jsonl"), store)


@pytest.mark.parametrize("status", [429, 503])
def test_how_long_a_web_server_asks_to_be_left_alone_is_told(web: str, status: int, store: Store) -> None:
    with pytest.raises(SourceUnavailable, match=f"{web}/busy/{status}/2015-09-12.jsonl could not be") as caught:
        export(files(path=f"{web}/busy/{status}/{{day}}.jsonl"), store)
    assert caught.value.retry_after == 37.0


SIGNATURE = "s1gned"


def _chain(error: BaseException) -> str:
    """Return everything that a traceback would show of an error."""
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("path", "day_column"),
    [
        ("forbidden/{day}.jsonl", None),
        ("busy/503/{day}.jsonl", None),
        ("half/{day}.jsonl", None),
        ("half/all.jsonl", "t"),
    ],
)
def test_the_signature_of_an_address_is_in_no_traceback(
    web: str, path: str, day_column: str | None, tmp_path: Path, store: Store
) -> None:
    for name in ("2015-09-12.jsonl", "all.jsonl"):
        write(tmp_path / "web/half" / name, b'{"t":"2015-09-12"}\n' * 100)
    with pytest.raises(SourceError) as caught:
        export(files(path=f"{web}/{path}?signature={SIGNATURE}", day_column=day_column), store)
    assert SIGNATURE not in _chain(caught.value)


def test_an_unknown_protocol_is_refused(store: Store) -> None:
    words = "source.path nowhere://x/2015-09-12.jsonl cannot be opened: Protocol not known"
    with pytest.raises(ImportFileError, match=words):
        export(files(path="nowhere://x/{day}.jsonl"), store)


def test_a_protocol_whose_package_is_missing_names_the_package(store: Store) -> None:
    try:
        import dropboxdrivefs  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        with pytest.raises(ImportFileError, match=r"needs another package \(pip install …\): .*dropboxdrivefs"):
            export(files(path="dropbox://x/{day}.jsonl"), store)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://x/{day}.jsonl", "pip install gcsfs, or in a clone: uv run --with gcsfs …"),
        ("simplecache::az://x/{day}.jsonl", "pip install adlfs, or in a clone: uv run --with adlfs …"),
        ("zip://*.csv::s3://x/a.zip", "pip install 'posthog_assets[s3]', or in a clone: uv run --extra s3 …"),
        (
            "https://x.example/{day}.jsonl",
            "pip install aiohttp requests, or in a clone: uv run --with aiohttp --with requests …",
        ),
        ("dropbox://x/{day}.jsonl", "pip install …"),
    ],
)
def test_it_is_known_how_the_package_of_a_protocol_is_installed(url: str, words: str) -> None:
    assert installation_of(url) == words


def test_a_store_of_google_says_how_its_package_is_installed(store: Store) -> None:
    try:
        import gcsfs  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
    except ImportError:
        with pytest.raises(ImportFileError, match=r"\(pip install gcsfs, or in a clone: uv run --with gcsfs …\)"):
            export(files(path="gs://x/{day}.jsonl"), store)


def test_a_folder_is_no_file(tmp_path: Path, store: Store) -> None:
    (tmp_path / "2015-09-12").mkdir()
    with pytest.raises(ImportFileError, match="is a folder; name the files in it"):
        export(files(path=f"{tmp_path}/{{day}}", format="jsonl"), store)


def test_files_come_in_the_order_of_their_paths_and_litter_never_does(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", ".hidden.jsonl", "_SUCCESS", "Thumbs.db"):
        write(tmp_path / name, b"{}")
    found = Location(f"{tmp_path}/*", {}).find()
    assert [(file.url, file.size) for file in found] == [(f"file://{tmp_path}/{name}.jsonl", 2) for name in "ab"]


def test_a_file_that_changes_has_another_fingerprint_and_the_same_id(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", b"{}")
    (before,) = Location(f"{tmp_path}/a.jsonl", {}).find()
    write(tmp_path / "a.jsonl", b"{}{}")
    (after,) = Location(f"{tmp_path}/a.jsonl", {}).find()
    assert before.id == after.id
    assert before.fingerprint != after.fingerprint


def test_a_file_that_shrinks_while_it_is_copied_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", b"{}{}")
    location = Location(f"{tmp_path}/a.jsonl", {})
    (found,) = location.find()
    write(tmp_path / "a.jsonl", b"{}")
    with pytest.raises(SourceUnavailable, match="a.jsonl changed while it was copied: 2 bytes arrived of 4; run again"):
        location.copy(found, io.BytesIO())


def test_the_nearest_files_are_the_one_before_and_the_one_after(tmp_path: Path) -> None:
    for day in ("01", "03", "07", "09"):
        write(tmp_path / f"{day}.jsonl", b"{}")
    nearest = Location(f"{tmp_path}/05.jsonl", {}).nearest(f"{tmp_path}/*.jsonl")
    assert nearest == [f"{tmp_path}/03.jsonl", f"{tmp_path}/07.jsonl"]


def test_only_stores_that_have_listings_are_listed() -> None:
    urls = ("s3://bucket/a", "memory://a", "/a", "https://host/a", "simplecache::s3://bucket/a")
    assert [Location(url, {}).lists for url in urls] == [True, True, True, False, False]


def test_a_password_and_a_query_are_not_shown() -> None:
    shown = Location("https://me:hunter2@host/a.csv?key=s3cret", {}, ("s3cret",)).shown
    assert shown == "https://***@host/a.csv?***"


@pytest.mark.parametrize(
    ("info", "changed_at"),
    [
        ({"mtime": 1_709_287_200}, datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ({"LastModified": datetime(2024, 3, 1, 10, tzinfo=UTC)}, datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ({"updated": "2024-03-01T10:00:00.000Z"}, datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ({"mtime": "yesterday", "updated": "2024-03-01T10:00:00"}, datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ({"ETag": "abc"}, None),
    ],
)
def test_stores_say_in_their_own_ways_when_a_file_changed(info: dict[str, Any], changed_at: datetime | None) -> None:
    assert Location("/a.csv", {})._found("/a.csv", info).changed_at == changed_at


def test_globs_that_differ_in_their_day_are_told_apart_without_trying_each() -> None:
    globs = [f"/a/{date(2024, 1, day)}/*-{day:02}.csv" for day in range(1, 32)]
    matcher = Matcher(globs)
    assert matcher.find("/a/2024-01-07/x-07.csv") == [6]
    assert matcher.find("/a/2024-01-07/x-08.csv") == []
    assert matcher.find("/a/2024-01-07/deep/x-07.csv") == []


def test_a_file_of_a_package_is_known_by_the_version_and_not_by_where_it_lies() -> None:
    (found,) = Location("python-package://pytest/pytest/__init__.py", {}).find()
    assert found.url == "python-package://pytest/pytest/__init__.py"
    assert found.fingerprint == f"version={pytest.__version__} size={found.size}"
    assert found.id == Found("/elsewhere/__init__.py", found.url, "", None).id
    with pytest.raises(ImportFileError, match="the package no-such-thing is not installed: pip install no-such-thing"):
        Location("python-package://no-such-thing/a.csv", {}).find()
