"""The JSON Schema of the import file."""

from __future__ import annotations

from posthog_assets.pipeline.config.json_schema import file_schema


def test_nothing_but_what_dagster_takes_stands_beside_the_attributes() -> None:
    schema = file_schema()
    assert sorted(schema["properties"]) == [
        "attributes", "post_processing", "requirements", "template_vars_module", "type",
    ]  # fmt: skip
    assert (schema["required"], schema["additionalProperties"]) == (["type", "attributes"], False)
    # References in the attributes are to the definitions of the whole file.
    assert "$defs" not in schema["properties"]["attributes"]
    assert "Mapping" in schema["$defs"]
