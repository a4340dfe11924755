"""Templates of import files, by name."""

from __future__ import annotations

import pytest

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.sniffing.templates import template, template_names


def test_a_name_that_is_none_is_answered_with_those_there_are() -> None:
    with pytest.raises(ImportFileError, match="no template for the source 'nothing'; there are: .*stripe"):
        template("nothing")


def test_a_resource_of_a_recipe_is_chosen_behind_a_slash() -> None:
    assert template("stripe/invoices") != template("stripe")
    with pytest.raises(ImportFileError, match="stripe has no resource 'dreams'; it has: .*invoices"):
        template("stripe/dreams")


def test_every_name_has_a_template() -> None:
    assert [name for name in template_names() if not template(name).strip()] == []
