"""Every recipe against its vendor's stand-in, all the way into PostHog: small pages, rate limits, interruptions."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from posthog_assets.core.errors import ImportFileError, NoExport, SourceUnavailable
from posthog_assets.orchestration.component import HistoricalImportModel
from posthog_assets.pipeline.config.import_file import Import, refuse_written_secrets
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.sniffing.templates import template
from posthog_assets.pipeline.sniffing.yaml_text import template_text
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.sources.manifest import RawExport
from posthog_assets.sources.rest.recipes import merged, recipes
from posthog_assets_tests.fakes.export_server import Asked, Reply
from posthog_assets_tests.fakes.vendors import CASES, Calendly, Case, HubSpot, Vendor

DAYS = [date(2024, 3, 1), date(2024, 3, 2)]
NAMES = [f"{case.recipe} {case.resource}" for case in CASES]


pytestmark = pytest.mark.usefixtures("pauses")


def imported(case: Case, url: str, folder: Path, *, small: bool = True, **more: Any) -> Import:
    """Return the import of a case, from the stand-in at *url*."""
    source: dict[str, Any] = {"type": case.recipe, "resource": case.resource, **case.settings, **case.also}
    if case.recipe == "woocommerce":
        source["url"] = url
    else:
        source["client"] = {"base_url": f"{url}{case.base}"}
    if small:
        source["endpoint"] = case.small
    attributes = {"name": f"{case.recipe}_{case.resource}", "start_date": "2024-03-01", "storage": str(folder)}
    return Import.read(attributes | {"source": merged(source, more.pop("source", {}))} | more)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_the_vendor_has_lands_and_adds_up(case: Case, tmp_path: Path, shared_sandbox: Any) -> None:
    destination = {"host": shared_sandbox.url, "project_api_key": "phc_any"}
    with case.vendor() as vendor:
        imp = imported(case, vendor.url, tmp_path, destination=destination)
        for day in DAYS:
            raw = sum(part.records for part in export_day(imp, day).parts)
            staging = stage_day(imp, day)
            assert staging.rows == raw + staging.further
            assert staging.rejected == 0, staging.reject_reasons
            transform_day(imp, day)
            report = deliver_day(imp, day)
            assert (report.owed, report.dropped) == (0, 0)
    landed = [
        (event, person, at)
        for _, event, person, at, properties in shared_sandbox.events()
        if properties.get("$import_job_id") == imp.name and event != "$identify"
    ]
    assert set(landed) == case.expected
    assert len(landed) == len(case.expected)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_page_size_of_the_recipe_is_one_the_vendor_allows(case: Case, tmp_path: Path) -> None:
    with case.vendor() as vendor:
        export_day(imported(case, vendor.url, tmp_path, small=False), DAYS[0])
    assert all(request.attempt <= 2 for request in vendor.requests)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_an_interruption_at_any_request_changes_nothing(case: Case, tmp_path: Path) -> None:
    down_at = {2, 3, 5}

    def down(asked: Asked, reply: Reply) -> Reply:
        return Reply(None) if len(vendor.requests) in down_at else reply

    vendor = case.vendor()
    vendor.script = down
    with vendor:
        imp = imported(case, vendor.url, tmp_path, source={"retry_seconds": 0})
        for day in DAYS:
            for _ in range(4):
                try:
                    export_day(imp, day)
                    break
                except SourceUnavailable:
                    continue
            stage_day(imp, day)
        mapped = [transform_day(imp, day) for day in DAYS]
    assert sum(report.rows - report.derived for report in mapped) == len(case.expected)


def test_every_recipe_and_resource_has_a_case() -> None:
    assert {(case.recipe, case.resource) for case in CASES} == {
        (recipe.name, resource) for recipe in recipes().values() for resource in recipe.resources
    }


@pytest.mark.parametrize(("recipe", "resource"), [(case.recipe, case.resource) for case in CASES], ids=NAMES)
def test_the_import_file_that_is_made_of_a_recipe_loads(recipe: str, resource: str) -> None:
    attributes = yaml.safe_load(template_text("billing", template(f"{recipe}/{resource}")))["attributes"]
    HistoricalImportModel.model_validate(attributes)
    del attributes["destination"]
    imp = Import.read(attributes)
    assert (imp.source.type, recipes()[recipe].resource_of(attributes["source"])) == (recipe, resource)


def test_hubspots_cap_is_halved(tmp_path: Path) -> None:
    case = CASES[NAMES.index("hubspot contacts")]
    with HubSpot() as vendor:
        vendor.cap = 4
        manifest = export_day(imported(case, vendor.url, tmp_path, source={"max_rows_per_window": 4}), DAYS[0])
    assert sum(part.records for part in manifest.parts) == 6
    assert {part.name.split("-")[1] for part in manifest.parts} == {"a", "b"}


def test_shopify_without_all_orders_refuses_what_it_cannot_see(tmp_path: Path) -> None:
    case = CASES[NAMES.index("shopify orders")]
    with case.vendor() as vendor:
        with pytest.raises(NoExport, match="keeps 60 days"):
            export_day(imported(case, vendor.url, tmp_path, source={"horizon_days": 60}), DAYS[0])


def test_the_import_file_wins_over_the_recipe(tmp_path: Path) -> None:
    case = CASES[NAMES.index("stripe charges")]
    with case.vendor() as vendor:
        imp = imported(
            case, vendor.url, tmp_path, dialect={"user_id": {"column": "status"}},
            mapping={"events": {"failed": None}},
        )  # fmt: skip
        export_day(imp, DAYS[0])
        stage_day(imp, DAYS[0])
        report = transform_day(imp, DAYS[0])
    assert report.events_by_name == {"stripe.charge.succeeded": 2, "stripe.charge.pending": 2, "failed": 2}
    assert report.reject_reasons == {"excluded by mapping.events": 2}


def test_a_resource_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(ImportFileError, match="charges, invoices, refunds, subscriptions"):
        Import.read({"name": "x", "start_date": "2024-03-01", "source": {"type": "stripe", "resource": "coins"}})


def test_a_setting_that_the_address_needs_is_named() -> None:
    with pytest.raises(ImportFileError, match="subdomain is missing, with type: zendesk"):
        Import.read({"name": "x", "start_date": "2024-03-01", "source": {"type": "zendesk"}})


def test_no_secret_of_a_recipe_is_in_its_storage(tmp_path: Path) -> None:
    case = CASES[NAMES.index("stripe charges")]
    with case.vendor() as vendor:
        imp = imported(case, vendor.url, tmp_path)
        export_day(imp, DAYS[0])
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert texts and not any(Vendor.secret.encode() in text for text in texts)
    assert RawExport(imp.store, DAYS[0]).manifest().complete
    assert DAYS[0] + timedelta(1) == DAYS[1]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ({"type": "stripe", "api_key": "rk_live_1"}, "source.api_key"),
        ({"type": "rest", "client": {"auth": {"type": "bearer", "token": "t"}}}, "source.client.auth.token"),
        ({"type": "rest", "client": {"headers": {"X-Api-Key": "k"}}}, "source.client.headers.X-Api-Key"),
    ],
)
def test_a_secret_that_is_written_out_is_refused_and_not_repeated(source: dict[str, Any], path: str) -> None:
    with pytest.raises(ImportFileError, match=f"defs.yaml: {path} is written out") as error:
        refuse_written_secrets({"source": source}, "defs.yaml")
    assert "rk_live" not in str(error.value)


def test_a_secret_from_the_environment_is_fine() -> None:
    auth = {"type": "api_key", "name": "X-Key", "api_key": "{{ env.KEY }}"}
    refuse_written_secrets({"source": {"type": "rest", "client": {"auth": auth}}}, "defs.yaml")


def test_the_vendor_that_the_docs_describe_in_twenty_lines_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/pages/sources/rest.md").read_text()
    attributes = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    with Calendly() as vendor:
        client = {"base_url": vendor.url, "auth": {"token": Vendor.secret, "type": "bearer"}}
        small = {"source": {"client": client, "endpoint": {"params": {"count": 2}}}, "storage": str(tmp_path)}
        imp = Import.read(merged(attributes, small))
        for day in DAYS:
            export_day(imp, day)
            stage_day(imp, day)
    assert [transform_day(imp, day).events_by_name for day in DAYS] == [{"meeting": 6}, {"meeting": 6}]
