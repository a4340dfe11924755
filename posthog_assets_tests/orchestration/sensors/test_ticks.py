"""What the sensors share: the time of a tick, and how many days may be under way."""

import dagster as dg
import pytest

from posthog_assets.orchestration.history import History
from posthog_assets.orchestration.sensors import ticks
from posthog_assets.orchestration.sensors.ticks import FreePlaces, TickClock, default_status
from posthog_assets_tests.fakes.scripted_days import DAYS


def places_during_a_day(*most: int) -> list[int]:
    """Return how many days may still begin while one is under way, where *most* may be at once."""
    found: list[int] = []

    @dg.asset(name="raw_export", key_prefix="small", partitions_def=DAYS)
    def raw_export(context: dg.AssetExecutionContext) -> None:
        found.extend(FreePlaces(History(context.instance, "small", DAYS), number).left for number in most)

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([raw_export], partition_key="2024-03-02", instance=instance)
        found.append(FreePlaces(History(instance, "small", DAYS), most[0]).left)
    return found


def test_a_day_under_way_takes_a_place_and_gives_it_back() -> None:
    assert places_during_a_day(3, 1, 0) == [2, 0, 0, 3]


@pytest.mark.parametrize(("seconds", "over"), [(30.0, False), (-1.0, True)])
def test_a_tick_ends_before_dagster_ends_it(seconds: float, over: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ticks._TICK_SECONDS == 30.0
    monkeypatch.setattr(ticks, "_TICK_SECONDS", seconds)
    assert TickClock().out_of_time() is over


def test_a_sensor_rests_until_somebody_asks_for_it() -> None:
    assert [default_status(one) for one in (True, False)] == [
        dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED,
    ]  # fmt: skip
