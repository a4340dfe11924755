"""The Dagster definitions of one import.

Belongs here: assets, checks, jobs, sensors and schedules put together. Does not belong here: any of them.
"""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from posthog_assets.orchestration.assets.history_facts import build_history_facts
from posthog_assets.orchestration.assets.imported_batches import build_imported_batches
from posthog_assets.orchestration.assets.landed_events import build_landed_events
from posthog_assets.orchestration.assets.person_profiles import build_person_profiles
from posthog_assets.orchestration.assets.posthog_events import build_posthog_events
from posthog_assets.orchestration.assets.raw_export import build_raw_export
from posthog_assets.orchestration.assets.staged_events import build_staged_events
from posthog_assets.orchestration.assets.traces import build_traces
from posthog_assets.orchestration.checks import build_check_job, build_failed_days_check, check_key
from posthog_assets.orchestration.history import job_name
from posthog_assets.orchestration.jobs.compare_source import build_source_check, source_check_key
from posthog_assets.orchestration.jobs.preview_day import build_preview_job
from posthog_assets.orchestration.jobs.prune_days import build_prune_job
from posthog_assets.orchestration.jobs.report_import import build_report_job
from posthog_assets.orchestration.sensors import build_sensors
from posthog_assets.orchestration.sensors.schedules import build_daily_schedule
from posthog_assets.pipeline.config.import_file import Import


def build_definitions(imp: Import) -> dg.Definitions:
    """Return the assets, checks, jobs, sensors and schedules of *imp*, for use without a YAML file too.

    A trial has no raw export of its own, and nothing runs by itself.
    """
    is_trial = imp.raw_owner != imp.name
    partitions = dg.DailyPartitionsDefinition(
        start_date=imp.start_date.isoformat(),
        # Dagster's end is exclusive, the import file's is the last day.
        end_date=(imp.end_date + timedelta(days=1)).isoformat() if imp.end_date else None,
        timezone="UTC",
    )
    builders = (build_staged_events, build_posthog_events, build_imported_batches, build_landed_events)
    days = [build(imp, partitions) for build in (builders if is_trial else (build_raw_export, *builders))]
    # Profiles have no days, and the look at all days has a job of its own.
    selection = dg.AssetSelection.assets(*[asset.key for asset in days])
    comparison = build_source_check(imp) if imp.source_counts and not is_trial else None
    apart = [check_key(imp), *([source_check_key(imp)] if comparison else [])]
    job = dg.define_asset_job(
        job_name(imp.name),
        selection=selection if is_trial else selection - dg.AssetSelection.checks(*apart),
        executor_def=dg.in_process_executor,
        description=f"All steps of {imp.name} for one day, from its first asset to the look into PostHog",
    )
    preview = build_preview_job(imp, partitions)
    # The mapping of a trial asks the same of all days, and its staged events hold everybody's.
    history = [build_history_facts(imp)] if imp.history_facts or imp.mapping.asks_history else []
    if is_trial:
        return dg.Definitions(assets=[*days, *history], jobs=[job, preview])
    check_job, check_schedule = build_check_job(imp)
    daily = build_daily_schedule(imp, partitions, job)
    prune = build_prune_job(imp)
    return dg.Definitions(
        assets=[
            *days,
            *history,
            *([build_person_profiles(imp)] if imp.people else []),
            *([build_traces(imp)] if imp.traces and imp.traces.wanted else []),
        ],
        asset_checks=[build_failed_days_check(imp, partitions), *([comparison[0]] if comparison else [])],
        jobs=[
            job,
            check_job,
            preview,
            build_report_job(imp, partitions),
            *([comparison[1]] if comparison else []),
            *([prune[0]] if prune else []),
        ],
        sensors=build_sensors(imp, partitions, job),
        schedules=[check_schedule, *([daily] if daily else []), *([prune[1]] if prune else [])],
    )
