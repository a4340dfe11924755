"""The code location that workspace.yaml names."""

from __future__ import annotations


def test_the_code_location_holds_the_demo_import() -> None:
    from posthog_assets.definitions import defs

    definitions = defs()
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert keys == {
        f"nycflights/{name}"
        for name in ("raw_export", "staged_events", "posthog_events", "imported_batches", "landed_events")
    }
    job = definitions.resolve_job_def("import_nycflights")
    assert job.partitions_def
    days = job.partitions_def.get_partition_keys()
    assert (days[0], days[-1], len(days)) == ("2013-01-01", "2014-01-01", 366)
