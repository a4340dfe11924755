"""A source that is down on some days, as its own files say.

Belongs here: `type: posthog_assets_tests.fakes.flaky.Flaky`. Does not belong here: tests.
"""

from datetime import date
from pathlib import Path

from posthog_assets.core.errors import SourceError, SourceUnavailable
from posthog_assets.sources import Files, RawExport


class Flaky(Files):
    """Files that cannot be exported while there is `<file>.down`, holding the seconds to wait, or `never`."""

    def export(self, day: date, raw: RawExport, first_day: date) -> None:
        down = Path(f"{self.url(day)}.down")
        if down.exists():
            asked = down.read_text()
            if asked == "never":
                raise SourceError("the vendor has closed this account; open it again")
            raise SourceUnavailable("the vendor is down", retry_after=float(asked))
        super().export(day, raw, first_day)
