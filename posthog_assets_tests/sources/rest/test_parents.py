"""For whom the endpoint is asked."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_assets.core.errors import SourceRefused
from posthog_assets.sources.rest.endpoint import ForEach
from posthog_assets.sources.rest.parents import Parent

FORMS = ForEach.model_validate({"name": "form", "path": "/forms", "include": ["title", "owner.name"]})


def test_a_record_of_the_list_gives_its_value_and_what_its_records_get() -> None:
    parent = Parent.of_record(FORMS, {"id": 7, "title": "Signup", "other": 1}, "GET /forms")
    assert parent.value == "7"
    assert parent.fields == {"_form": 7, "_form_title": "Signup"}


def test_a_value_of_the_import_file_is_text() -> None:
    each = ForEach.model_validate({"name": "form", "values": [7, "b"]})
    assert [Parent.of_value(each, value).fields for value in each.values or ()] == [{"_form": "7"}, {"_form": "b"}]


@pytest.mark.parametrize("record", [{}, {"id": None}, {"id": {"a": 1}}, {"id": []}])
def test_a_record_without_a_value_ends_the_reading(record: dict[str, Any]) -> None:
    with pytest.raises(SourceRefused, match="GET /forms: a record has no value at source.for_each.field 'id': "):
        Parent.of_record(FORMS, record, "GET /forms")


def test_the_code_of_a_parent_is_safe_in_a_name_whatever_its_value() -> None:
    assert [len(Parent(value, {}).code) for value in ("7", "a/b", "x" * 500)] == [12, 12, 12]
    assert Parent("7", {}).code == Parent("7", {"_form": 7}).code != Parent("8", {}).code
