"""person_profiles: what the source knows of its users, as properties of PostHog's persons."""

from collections import Counter

import dagster as dg

from posthog_assets.core.counted import counted
from posthog_assets.destination.ingestion_warnings import reasons
from posthog_assets.destination.landing import LandedReport
from posthog_assets.destination.report import DeliveryReport
from posthog_assets.orchestration.assets.declaration import RETRIES, Progress, explained
from posthog_assets.orchestration.assets.imported_batches import pool_of
from posthog_assets.orchestration.assets.metadata import location, table
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.people import PEOPLE
from posthog_assets.pipeline.deliver import deliver_day
from posthog_assets.pipeline.derived_imports import people_import
from posthog_assets.pipeline.export import export_day
from posthog_assets.pipeline.stage import stage_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.pipeline.verify import verify_day
from posthog_assets.storage.layout import rejected_path

DESCRIPTION = """The profiles of the source's users, sent as person properties.

Not partitioned: a profile is what is known now. Materialize it after the events: PostHog applies changes of a
person in the order in which they arrive. Materializing it again sends only profiles that have changed."""

LOST = "no_profile_lost"
LANDED = "every_profile_has_landed"


def build_person_profiles(imp: Import) -> dg.AssetsDefinition:
    """Return the asset `<import>/person_profiles` of an import with a section `people`."""
    key = dg.AssetKey([imp.name, "person_profiles"])
    people = people_import(imp)

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([imp.name, "imported_batches"])],
        group_name=imp.name,
        description=DESCRIPTION,
        kinds={"posthog", people.source.type},
        owners=imp.owners,
        code_version=people.mapping_version,
        check_specs=[
            dg.AssetCheckSpec(LOST, asset=key, description="profiles - rejected = acknowledged + dropped"),
            dg.AssetCheckSpec(LANDED, asset=key, description="distinct uuids found by HogQL = acknowledged profiles"),
        ],
        retry_policy=RETRIES(2),
        pool=pool_of(imp),
    )
    def person_profiles(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        report, progress = DeliveryReport(), Progress(context, "delivered")
        with explained():
            manifest = export_day(people, PEOPLE)
            staging = stage_day(people, PEOPLE)
            mapping = transform_day(people, PEOPLE)
            deliver_day(people, PEOPLE, report, lambda now: progress(now.acknowledged + now.dropped, now.events))
            landing = verify_day(people, PEOPLE)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": report.acknowledged,
                "records": staging.rows,
                "rejected": staging.rejected + mapping.rejected,
                **table(
                    "rejected_by_reason", Counter(staging.reject_reasons) + Counter(mapping.reject_reasons), "reason"
                ),
                "sent": report.sent,
                "already_acknowledged": report.already_acknowledged,
                "dropped": report.dropped,
                **table("dropped_by_reason", report.drop_reasons, "reason"),
                "fetched_at": manifest.fetched_at,
                **location(imp, rejected_path(PEOPLE), "rejected_and_dropped"),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=report.owed == 0, check_name=LOST, metadata={"events": report.events, "owed": report.owed}
                ),
                _landed(landing),
            ],
        )

    return person_profiles


def _landed(landing: LandedReport | None) -> dg.AssetCheckResult:
    if landing is None:
        return dg.AssetCheckResult(
            passed=False,
            check_name=LANDED,
            severity=dg.AssetCheckSeverity.WARN,
            description="not verified: destination.personal_api_key and project_id are not set",
        )
    missing = landing.acknowledged - landing.landed
    return dg.AssetCheckResult(
        passed=not missing,
        check_name=LANDED,
        description=_words(missing, reasons(landing.warnings)) if missing else None,
        metadata={"acknowledged": landing.acknowledged, "landed": landing.landed},
    )


def _words(missing: int, why: str) -> str:
    are, them = ("is", "it") if missing == 1 else ("are", "them")
    words = f"{counted(missing, 'profile')} {are} owed again: materialize this again to send {them}"
    return f"{words}. {why}" if why else words
