"""posthog_events: what the day's records are to be in PostHog."""

from datetime import date
from typing import Any, Final

import dagster as dg

from posthog_assets.core.schemas import POSTHOG_EVENTS
from posthog_assets.mapping import MappingReport
from posthog_assets.mapping.version import RULES
from posthog_assets.orchestration.assets.declaration import Progress, day_of, declare, explained
from posthog_assets.orchestration.assets.metadata import (
    LACKS_USERS,
    RULES_ENTRY,
    day_profile,
    location,
    records,
    speed,
    table,
    times,
)
from posthog_assets.pipeline.config.import_file import Import
from posthog_assets.pipeline.config.rejects import Lost, Verdict
from posthog_assets.pipeline.day_state.other_days import far_from_day
from posthog_assets.pipeline.transform import transform_day
from posthog_assets.storage.layout import events_path

#: The check that few enough records are rejected.
REJECTS_CHECK: Final = "few_records_are_rejected"

#: The check that warns where all events of a day are of other days.
NEAR_CHECK: Final = "events_are_near_their_day"

#: The check that warns where the import file names the column of the user, and no record of a day has one.
USERS_CHECK: Final = "some_record_has_a_user"

DESCRIPTION = """The day's events exactly as PostHog will get them, oldest first. Nothing has been sent yet.

Names, properties and persons are what the import file's `mapping` says. An event's `uuid` is a function of the source's
own id, so importing again replaces instead of duplicating. Events PostHog would refuse stay here with the reason and
are not sent. Materializing it twice gives the same bytes.

Next: `imported_batches`, which sends them."""


def build_posthog_events(imp: Import, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset `<import>/posthog_events`."""
    checks = {
        "every_staged_row_is_an_event": "staged rows - rejected + derived = PostHog events",
        REJECTS_CHECK: f"at most {imp.rejects.warn:.0%} of the records are rejected, other than on purpose",
        NEAR_CHECK: "some event lies within two days of the partition's day",
        USERS_CHECK: "some record has a user, where the import file names the user's column",
    }

    @declare(
        imp, "posthog_events", partitions,
        description=DESCRIPTION, code_version=imp.mapping_version, kinds={"parquet"},
        upstream="staged_events", schema=POSTHOG_EVENTS, checks=checks,
    )  # fmt: skip
    def posthog_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day = day_of(context)
        with explained():
            report = transform_day(imp, day, Progress(context, "transformed", "rows"))
        expected = report.staged - report.staged_rejected + report.derived
        for sentence in report.cautions:
            context.log.warning(sentence)
        lost = Lost.of(report.staged, report.staged_reasons, report.reject_reasons)
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": report.rows,
                "dagster/size_bytes": imp.store.size(events_path(day)),
                "rejected": report.rejected,
                **table("rejected_by_reason", report.reject_reasons, "reason"),
                **table("events_by_name", report.events_by_name, "event"),
                "derived": report.derived,
                "reused_ids": report.reused_ids,
                "kept_repeats": report.kept_repeats,
                "shared_devices": report.shared_devices,
                "refused_merges": report.refused_merges,
                **_sessions(report),
                **_lost(lost),
                **({LACKS_USERS: report.lacks_users} if report.lacks_users else {}),
                **records("cautions", [{"caution": words, "events": n} for words, n in report.cautions.items()]),
                **_history(report),
                "mapping": imp.mapping_version,
                RULES_ENTRY: str(RULES),
                **times(report.first, report.last),
                **day_profile(imp, events_path(day), day, ["event", "distinct_id", "timestamp", "properties"]),
                **speed(report.rows, report.seconds),
                **location(imp, events_path(day)),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=report.rows == expected,
                    check_name="every_staged_row_is_an_event",
                    metadata={
                        "staged_rows": report.staged,
                        "staged_rejected": report.staged_rejected,
                        "derived": report.derived,
                        "posthog_events": report.rows,
                    },
                ),
                _rejects_check(imp, lost),
                _near_check(day, report),
                dg.AssetCheckResult(
                    passed=report.lacks_users is None,
                    check_name=USERS_CHECK,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=report.lacks_users,
                ),
            ],
        )

    return posthog_events


def _lost(lost: Lost) -> dict[str, Any]:
    """Return how many records should be events and are not, of how many, and the commonest reason."""
    reason = {"lost_because": lost.reason} if lost.reason else {}
    return {"lost": lost.count, "records": lost.records, **reason}


def _rejects_check(imp: Import, lost: Lost) -> dg.AssetCheckResult:
    """Return whether few enough records are rejected, by the import's `rejects`."""
    verdict = imp.rejects.judge(lost)
    return dg.AssetCheckResult(
        passed=verdict is Verdict.FINE,
        check_name=REJECTS_CHECK,
        severity=dg.AssetCheckSeverity.ERROR if verdict is Verdict.FAIL else dg.AssetCheckSeverity.WARN,
        description=None if verdict is Verdict.FINE else f"{lost.words}. See: posthog-assets rejected {imp.name}",
        metadata=_lost(lost),
    )


def _near_check(day: date, report: MappingReport) -> dg.AssetCheckResult:
    """Return a warning where all events are of other days, as wrongly read times are."""
    words = far_from_day(day, report.first, report.last) if report.first and report.last else None
    return dg.AssetCheckResult(
        passed=words is None, check_name=NEAR_CHECK, severity=dg.AssetCheckSeverity.WARN, description=words
    )


def _sessions(report: MappingReport) -> dict[str, Any]:
    """Return how many events have a session, and whether those that cross midnight are complete; nothing if off."""
    if report.in_sessions is None:
        return {}
    known = "known" if report.knows_day_before else "not staged: sessions that began before midnight start again"
    return {"in_sessions": report.in_sessions, "day_before": known}


def _history(report: MappingReport) -> dict[str, Any]:
    """Return whether facts of all days were there; nothing where the mapping asks for none."""
    if report.knows_history is None:
        return {}
    missing = "missing: materialize history_facts, then this day again"
    return {"history_facts": "known" if report.knows_history else missing}
