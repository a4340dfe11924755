"""Layouts that their writers have published."""

from __future__ import annotations

from posthog_assets.sources.formats.csv_layouts import LAYOUTS


def test_snowplows_enriched_events_have_131_columns_in_the_order_of_its_docs() -> None:
    snowplow = LAYOUTS["snowplow"]
    assert len(snowplow.columns) == len(set(snowplow.columns)) == 131
    places = {name: number for number, name in enumerate(snowplow.columns, 1)}
    # As https://docs.snowplow.io/docs/destinations/custom-streaming/enriched-tsv-format/ numbers them.
    assert [places[name] for name in ("app_id", "collector_tstamp", "event_id", "domain_userid", "true_tstamp")] == [
        1, 4, 7, 16, 131,
    ]  # fmt: skip
    assert (snowplow.delimiter, snowplow.quote) == ("\t", "")
