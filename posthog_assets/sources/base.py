"""What a source of history is.

Belongs here: the base class of sources. Does not belong here: any particular system.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import date

from posthog_assets.settings import Settings
from posthog_assets.sources.raw_export import RawExport


class Source(Settings, ABC):
    """How bytes are fetched, one day at a time.

    A source of your own is a subclass in your own module, named in the import file as `type: my_package.MySource`; its
    fields are the settings. `export` writes what the vendor delivers as parts of *raw* and then completes it; parts
    that an interrupted or an earlier export left, and that have not changed since, need not be fetched again:

        class Minio(Source):
            type: str = "minio"
            bucket: str

            def fingerprint(self, day):
                return etag_of(self.bucket, day)

            def export(self, day, raw, first_day):
                etag = self.fingerprint(day)
                if raw.is_complete(etag):
                    return
                raw.begin(etag)
                name = f"{day}.jsonl.gz"
                if not raw.has(name, etag):
                    with raw.part(name, detect(name), f"s3://{self.bucket}/{name}", etag) as file:
                        download(self.bucket, name, file)
                raw.complete()
    """

    type: str = "custom"

    @abstractmethod
    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Fetch *day* of the source's own clock into *raw*; *first_day* is the import's first day.

        Raises:
            NoExport: the source has nothing for this day, and that is not normal.
            SourceUnavailable: the source did not answer.
        """

    @abstractmethod
    def fingerprint(self, day: date) -> str | None:
        """Return a text that changes when the source's *day* changes; None where there is no export yet.

        It is asked often (by sensors): look at sizes, times or etags, and fetch nothing.
        """

    def secrets(self) -> tuple[str, ...]:
        """Return the credentials among the settings; they are cut out of every message."""
        return ()
