"""Dagster's UI as a person uses it, in a real browser: what can be seen, and what a click sends again.

Screenshots of every test are kept in the folder that POSTHOG_ASSETS_SCREENSHOTS names, else in pytest's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posthog_assets_tests.end_to_end.conftest import SOON
from posthog_assets_tests.fakes.dagster_dev import DagsterDev
from posthog_assets_tests.fakes.refusing import DAYS, EVENTS, RefusingPostHog, import_file, write_days

STEPS = ["imported_batches", "landed_events", "posthog_events", "raw_export", "staged_events"]
#: One import per test, so that none depends on another.
NAMES = ("clicked", "story", "backfilled", "trap", "single", "old")

#: Milliseconds; a backfill is several runs, each in a process of its own.
_LATER = 300_000


@pytest.fixture(scope="module")
def posthog(shared_sandbox: Any) -> Iterator[RefusingPostHog]:
    with RefusingPostHog(shared_sandbox) as server:
        yield server


@pytest.fixture(scope="module")
def dev(context: Any, posthog: RefusingPostHog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterDev]:
    folder = tmp_path_factory.mktemp("browser")
    write_days(folder / "exports")
    imports = {name: import_file(name, folder, posthog.url) for name in NAMES}
    # It keeps going: its days lie years before the last one.
    imports["old"] = imports["old"].replace(f'  end_date: "{DAYS[-1]}"\n', "")
    with DagsterDev(folder / "project", imports) as running:
        yield running


class Ui:
    """The few things a person does, by what is written on the screen."""

    def __init__(self, page: Any, url: str, screenshots: Path) -> None:
        self.page = page
        self._url = url
        self._screenshots = screenshots
        self._taken = 0

    def open(self, path: str) -> None:
        self.page.goto(self._url + path)

    def open_import(self, name: str) -> None:
        self.open(f"/locations/shop_project.definitions/asset-groups/{name}")

    def open_day(self, name: str, asset: str, day: str) -> None:
        self.open(f"/assets/{name}/{asset}?view=partitions&partition={day}")

    def choose(self, button: str) -> Any:
        """Press a *Materialize* button; returns the dialog that asks for the days."""
        self.page.get_by_role("button", name=button).first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_text("Partition selection").wait_for()
        return dialog

    def launch(self, dialog: Any) -> None:
        """Press *Launch*, and go where the notice leads."""
        dialog.get_by_role("button", name=re.compile("^Launch")).click()
        self.view()

    def menu(self, arrow: str, item: str) -> None:
        """Open the last menu whose button shows *arrow*, and press *item*."""
        self.page.locator(f"button:has([aria-label={arrow}])").last.click()
        self.page.get_by_text(item, exact=True).last.click()

    def view(self) -> None:
        notice = self.page.get_by_role("region", name=re.compile("^Notifications"))
        # It moves in, stays for seconds and moves out: on a busy machine it is never at rest.
        notice.get_by_text("View", exact=True).dispatch_event("click")

    def see(self, text: str | re.Pattern[str], timeout: int = SOON) -> Any:
        found = self.page.get_by_text(text, exact=True) if isinstance(text, str) else self.page.get_by_text(text)
        found.first.wait_for(timeout=timeout)
        return found.first

    def see_backfill(self, status: str) -> None:
        """Wait on a backfill's page until its status is *status* (a column is called Failed, too)."""
        field = self.page.get_by_text("Status", exact=True).locator("..")
        field.get_by_text(status, exact=True).wait_for(timeout=_LATER)

    def look(self, what: str) -> None:
        self._taken += 1
        self.page.screenshot(path=self._screenshots / f"{self._taken:02}-{what}.png")


@pytest.fixture
def ui(context: Any, dev: DagsterDev, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ui]:
    kept = os.environ.get("POSTHOG_ASSETS_SCREENSHOTS")
    screenshots = Path(kept) / request.node.name if kept else tmp_path
    screenshots.mkdir(parents=True, exist_ok=True)
    page = context.new_page()
    user = Ui(page, dev.url, screenshots)
    yield user
    user.look("end")
    page.close()


def test_a_day_materialized_by_clicking_is_green_and_shows_what_it_holds(ui: Ui, posthog: RefusingPostHog) -> None:
    ui.open_import("clicked")
    dialog = ui.choose("Materialize all")
    days = dialog.get_by_placeholder(re.compile("^ex: "))
    days.fill(DAYS[1])
    days.press("Tab")
    ui.look("choose")
    ui.launch(dialog)
    ui.see("Success")
    ui.look("run")
    assert posthog.landed("clicked") == {DAYS[1]: EVENTS}

    ui.open_import("clicked")
    ui.see("20% filled")
    ui.look("import")
    ui.open_day("clicked", "posthog_events", DAYS[1])
    for text in ("Materialized", "events_by_name", "page viewed", "first_rows", "events_per_second"):
        ui.see(text)
    picture = ui.page.locator("img[src^='data:image/svg+xml']").first
    picture.wait_for()
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 480
    ui.look("posthog_events")
    ui.open_day("clicked", "imported_batches", DAYS[1])
    link = ui.page.get_by_role("link", name="these events in PostHog")
    assert f"{posthog.url}/project/1/activity/explore#q=" in link.get_attribute("href")
    ui.look("imported_batches")
    ui.open("/assets/clicked/staged_events?view=overview")
    for text in ("data@shop.example", "When it happened, UTC", "Parquet"):
        ui.see(text)
    ui.look("staged_events")


def test_exactly_the_refused_day_is_red_and_re_imported_alone(ui: Ui, posthog: RefusingPostHog) -> None:
    posthog.refused = {("story", DAYS[2])}
    ui.open_import("story")
    dialog = ui.choose("Materialize all")
    dialog.get_by_role("button", name="All", exact=True).click()
    ui.launch(dialog)
    ui.see_backfill("Failed")
    ui.look("backfill")
    ui.open_day("story", "imported_batches", DAYS[2])
    ui.see("Failed (1)")
    ui.see("Materialized (4)")
    ui.see(re.compile("failed, and did not materialize this asset"))
    ui.look("red")

    posthog.refused = set()
    before = len(posthog.passed)
    for asset in ("imported_batches", "landed_events"):
        ui.open(f"/assets/story/{asset}?view=partitions")
        dialog = ui.choose("Materialize")
        dialog.get_by_role("button", name="Failed and missing", exact=True).click()
        dialog.get_by_text("1 partition", exact=True).wait_for()
        assert dialog.get_by_role("textbox").first.input_value() == DAYS[2]
        ui.look("only-the-failed-day")
        ui.launch(dialog)
        ui.see("Success")
        ui.open_day("story", asset, DAYS[2])
        ui.see("Materialized (5)")
        ui.look("green")
    assert posthog.passed[before:] == [("story", DAYS[2])]
    assert posthog.landed("story") == dict.fromkeys(DAYS, EVENTS)


def test_a_backfill_re_executed_from_failure_sends_only_its_failed_day(
    ui: Ui, dev: DagsterDev, posthog: RefusingPostHog
) -> None:
    posthog.refused = {("backfilled", DAYS[0])}
    backfill = dev.backfill([("backfilled", step) for step in STEPS], DAYS[:2])
    ui.open(f"/runs/b/{backfill}")
    ui.see_backfill("Failed")
    posthog.refused = set()
    before = len(posthog.passed)
    ui.menu("expand_more", "Re-execute from failure")
    ui.view()
    ui.see_backfill("Succeeded")
    ui.look("re-executed")
    assert posthog.passed[before:] == [("backfilled", DAYS[0])]
    assert dev.days("backfilled", "landed_events") == {"MATERIALIZED": DAYS[:2]}
    assert [run.assets for run in dev.runs("backfilled") if run.day == DAYS[0]] == [
        [("backfilled", "imported_batches"), ("backfilled", "landed_events")],
        [("backfilled", step) for step in STEPS],
    ]


def test_a_failed_run_goes_on_from_its_failure(ui: Ui, dev: DagsterDev, posthog: RefusingPostHog) -> None:
    posthog.refused = {("single", DAYS[0])}
    failed = dev.finished_run(dev.launch(("single",), DAYS[0]))
    posthog.refused = set()
    ui.open(f"/runs/{failed.id}")
    ui.see("Failure")
    ui.see(re.compile("this day is refused"))
    ui.look("failed-run")
    ui.menu("arrow_drop_down", "From failure")
    ui.see("Success")
    again = dev.runs("single")[0]
    assert sorted(again.steps or []) == ["single__imported_batches", "single__landed_events"]
    assert posthog.landed("single") == {DAYS[0]: EVENTS}


def test_failed_days_of_all_assets_at_once_repeat_every_asset_and_send_nothing_twice(
    ui: Ui, dev: DagsterDev, posthog: RefusingPostHog
) -> None:
    posthog.refused = {("trap", DAYS[0])}
    started = [dev.launch(("trap",), day) for day in DAYS[:2]]
    assert [dev.finished_run(run).status for run in started] == ["FAILURE", "SUCCESS"]
    posthog.refused = set()
    before = len(posthog.passed)
    ui.open_import("trap")
    dialog = ui.choose("Materialize all")
    dialog.get_by_role("button", name="Failed", exact=True).click()
    dialog.get_by_text("1 partition", exact=True).wait_for()
    ui.launch(dialog)
    ui.see("Success")
    assert dev.runs("trap")[0].assets == [("trap", step) for step in STEPS]
    assert posthog.passed[before:] == [("trap", DAYS[0])]
    assert posthog.landed("trap") == dict.fromkeys(DAYS[:2], EVENTS)


def test_a_failed_day_of_long_ago_is_chosen_once_all_partitions_are_shown(
    ui: Ui, dev: DagsterDev, posthog: RefusingPostHog
) -> None:
    posthog.refused = {("old", DAYS[1])}
    started = [dev.launch(("old",), day) for day in DAYS[:2]]
    assert [dev.finished_run(run).status for run in started] == ["SUCCESS", "FAILURE"]
    posthog.refused = set()
    before = len(posthog.passed)
    for asset in ("imported_batches", "landed_events"):
        ui.open(f"/assets/old/{asset}?view=partitions")
        dialog = ui.choose("Materialize")
        dialog.get_by_text("Show all partitions").click()
        # *Failed and missing* would take every later day, too.
        dialog.get_by_role("button", name="Failed", exact=True).click()
        dialog.get_by_text("1 partition", exact=True).wait_for()
        assert dialog.get_by_role("textbox").first.input_value() == DAYS[1]
        ui.look("failed-day-of-long-ago")
        ui.launch(dialog)
        ui.see("Success")
    assert posthog.passed[before:] == [("old", DAYS[1])]
    assert posthog.landed("old") == dict.fromkeys(DAYS[:2], EVENTS)
