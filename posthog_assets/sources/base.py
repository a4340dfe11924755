"""What a source of history is.

Belongs here: the base class of sources. Does not belong here: any particular system.
"""

from __future__ import annotations

from datetime import date

from posthog_assets.settings import Settings
from posthog_assets.sources.raw_export import RawExport


class Source(Settings):
    """How bytes are fetched, one day at a time.

    A source of your own is a subclass in your own module, named in the import file as `type: my_package.MySource`; its
    fields are the settings. `export` writes what the vendor delivers as parts of *raw* and then completes it:

        def export(self, day, raw, first_day):
            position = self.fingerprint(day)
            if raw.is_complete(position):
                return
            raw.begin(position)
            with raw.part("events.jsonl.gz", detect("events.jsonl.gz"), origin=url) as path:
                ...write the file...
            raw.complete()
    """

    type: str = "custom"

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        """Fetch *day* of the source's own clock into *raw*; *first_day* is the import's first day.

        Raises:
            NoExport: the source has nothing for this day, and that is not normal.
            SourceUnavailable: the source did not answer.
        """
        raise NotImplementedError

    def fingerprint(self, day: date) -> str | None:
        """Return a text that changes when the source's *day* changes; None where there is no export yet."""
        raise NotImplementedError
