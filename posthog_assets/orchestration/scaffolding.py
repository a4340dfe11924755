"""`dg scaffold defs posthog_assets.HistoricalImport NAME`: the import file that `posthog-assets init` would write.

Belongs here: Dagster's side of it. Does not belong here: looking at data, or the text of the file
(`pipeline.sniffing`).
"""

from __future__ import annotations

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.sniffing.columns import roles_of
from posthog_assets.pipeline.sniffing.draft import sniff_files
from posthog_assets.pipeline.sniffing.tables import database_url, sniff_database
from posthog_assets.pipeline.sniffing.templates import template
from posthog_assets.pipeline.sniffing.yaml_text import draft_text, template_text


class ImportParams(BaseModel):
    """What `dg scaffold` takes, as `posthog-assets init` does."""

    model_config = ConfigDict(populate_by_name=True)

    source: str = Field("files", description="Write the commented template of this source")
    where: str | None = Field(
        None, alias="from", description="Look at the data there instead: a file, folder, glob, URL, or a database"
    )
    table: str | None = Field(None, description="Of a database: this table")
    column: list[str] = Field(
        default_factory=list,
        description="Which column is event, user_id, anonymous_id, timestamp or source_id, as in user_id=who",
    )


class ImportScaffolder(dg.Scaffolder[ImportParams]):
    """Writes `defs.yaml` into the new folder of an import, which has the import's name."""

    @classmethod
    def get_scaffold_params(cls) -> type[ImportParams]:
        return ImportParams

    def scaffold(self, request: dg.ScaffoldRequest[ImportParams]) -> None:
        """Write the import file.

        Raises:
            ImportFileError: the data is no export that can be read, or Python was asked for.
        """
        if request.scaffold_format != "yaml":
            raise ImportFileError("an import is a defs.yaml: leave --format out, or set it to yaml")
        name, params = request.target_path.name, request.params
        if params.where:
            url = database_url(params.where)
            try:
                columns = roles_of(params.column)
            except ValueError as error:
                raise ImportFileError(f"column {error}") from None
            draft = (
                sniff_database(name, url, params.table, columns)
                if url
                else sniff_files(name, params.where, columns=columns)
            )
            text = draft_text(draft)
        else:
            text = template_text(name, template(params.source))
        (request.target_path / "defs.yaml").write_text(text, "utf-8")
