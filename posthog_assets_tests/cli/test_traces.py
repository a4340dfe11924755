"""The command that leaves traces. Which there are: `pipeline/test_traces.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from posthog_assets.cli.main import cli
from posthog_assets.core.errors import ImportFileError
from posthog_assets_tests.records.shop import write_import


def test_an_import_that_asks_for_no_traces_is_refused_with_the_section_that_is_missing(project: Path) -> None:
    write_import(project, "http://127.0.0.1:9")
    with pytest.raises(ImportFileError, match="shop asks for no traces: the section traces of its import file says"):
        CliRunner().invoke(cli, ["traces", "shop", "--project", str(project)], catch_exceptions=False)
