"""Some records of an API, fetched as an export fetches them, and nothing kept.

Belongs here: stopping an export as soon as there is something to look at. Does not belong here: what is made of the
records (`source_look`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any, Final

from posthog_assets.core.records import Unreadable
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.sources.formats import Framing, read_records
from posthog_assets.sources.http.api import hurried
from posthog_assets.sources.manifest import RawExport
from posthog_assets.storage.scratch import scratch_folder
from posthog_assets.storage.store import Store

#: How long a person waits for one answer, seconds, and the most that is fetched, bytes.
_PATIENCE: Final = 15.0
_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class ApiSample:
    """What a day of an API begins with.

    `flaws` are the reasons of records that cannot be read; `is_whole` says that the day has no more records than these,
    `too_large` that its first part is too large to be fetched for a look.
    """

    records: list[dict[str, Any]]
    flaws: list[str]
    untyped: bool
    is_whole: bool
    too_large: bool = False


def sample_day(imp: Import, day: date, most: int) -> ApiSample:
    """Return at most *most* records of *day*; raises SourceError as an export does, but soon."""
    with scratch_folder() as folder, hurried(_PATIENCE):
        raw = _Sampled(Store(str(Path(folder)), imp.name), day)
        try:
            imp.source.fetch_sample(day, raw)
        except _Enough as enough:
            return _read(raw, most, too_large=enough.too_large)
        return _read(raw, most, is_whole=True)


class _Enough(BaseException):
    """There is something to look at. Sources catch what goes wrong; this is nothing that does."""

    def __init__(self, *, too_large: bool = False) -> None:
        super().__init__()
        self.too_large = too_large


class _Sampled(RawExport):
    """A raw export that ends after its first part with records, or when that becomes too large."""

    def __init__(self, store: Store, day: date) -> None:
        super().__init__(store, day, self._watch)

    @staticmethod
    def _watch(received: int) -> None:
        if received > _BYTES:
            raise _Enough(too_large=True)

    @contextmanager
    def part(
        self, name: str, framing: Framing, origin: str, origin_fingerprint: str = "", *, without_day: bool = False
    ) -> Iterator[IO[bytes]]:
        with super().part(name, framing, origin, origin_fingerprint, without_day=without_day) as sink:
            yield sink
        found = self.found(name)
        if found and found.records:
            raise _Enough


def _read(raw: RawExport, most: int, *, is_whole: bool = False, too_large: bool = False) -> ApiSample:
    records: list[dict[str, Any]] = []
    flaws: list[str] = []
    untyped = False
    for name in sorted(raw.names):
        part = raw.found(name)
        assert part is not None
        with raw.open(part) as file:
            for chunk in read_records(file, part.framing, part.name):
                untyped = chunk.untyped
                for record in chunk.records:
                    if isinstance(record, Unreadable):
                        flaws.append(record.reason)
                    else:
                        records.append(record)
                    if len(records) + len(flaws) >= most:
                        return ApiSample(records, flaws, untyped, False)
    return ApiSample(records, flaws, untyped, is_whole, too_large)
