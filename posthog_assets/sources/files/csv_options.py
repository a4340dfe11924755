"""How CSV files are written, where they are not as usual: the section `source.csv`.

Belongs here: its settings, and what a layout with a name says of them. Does not belong here: reading rows
(`formats.csv_rows`), the layouts themselves (`formats.csv_layouts`).
"""

from __future__ import annotations

import codecs
from typing import Any, Literal

from pydantic import Field, field_validator

from posthog_assets.core.sections import Section
from posthog_assets.sources.formats.csv_layouts import LAYOUTS


class CsvOptions(Section):
    """How a CSV file is written."""

    delimiter: str | None = Field(None, min_length=1, max_length=1, description="Absent: a tab in .tsv, else a comma")
    encoding: str = Field("utf-8", description="Any that Python knows, such as cp1252")
    quote: str = Field('"', max_length=1, description="Empty: values are never quoted")
    columns: tuple[str, ...] | Literal["snowplow"] | None = Field(
        None, description="Of files without a header: their names in order, or whose files they are", repr=False
    )

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            raise ValueError(f"encoding {value!r} is unknown; common ones: utf-8, cp1252, latin-1, utf-16") from None
        return value

    @field_validator("columns")
    @classmethod
    def _are_names(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            if not value or "" in value:
                raise ValueError("every column needs a name")
            if twice := next((name for name in value if value.count(name) > 1), None):
                raise ValueError(f"{twice!r} names two columns")
        return value

    @property
    def framing(self) -> dict[str, Any]:
        """The options of `detect`; what a layout with a name says holds where nothing else is set."""
        options = {"delimiter": self.delimiter, "encoding": self.encoding, "quote": self.quote}
        if not isinstance(self.columns, str):
            return options | {"columns": self.columns or ()}
        layout = LAYOUTS[self.columns]
        known = {"delimiter": layout.delimiter, "quote": layout.quote}
        chosen = {name: value for name, value in options.items() if name not in known or name in self.model_fields_set}
        return known | chosen | {"columns": layout.columns}
