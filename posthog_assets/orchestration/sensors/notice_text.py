"""Messages about failed runs.

Belongs here: the words of a message, and posting it to a webhook. Does not belong here: finding failures (`history`,
`sensors`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import urllib3

from posthog_assets.core.errors import shorten
from posthog_assets.core.markup import visible
from posthog_assets.orchestration.failures import Failure
from posthog_assets.pipeline.config.automation import Notify

#: Days named in one sentence, and sentences in one message.
_DAYS: Final = 5
_SENTENCES: Final = 20


@dataclass(frozen=True)
class Failed:
    """A failed run, as a message reports it; `day` is None for runs that are of no single day."""

    run_id: str
    day: str | None
    failure: Failure


def message(import_name: str, failures: Iterable[Failed], ui_url: str | None) -> str:
    """Return one text about all *failures*: identical failures share a sentence that says what, why, and what to do."""
    groups: dict[tuple[str | None, str], list[Failed]] = {}
    for failed in failures:
        groups.setdefault((failed.failure.asset, _alike(failed)), []).append(failed)
    lines = [_sentence(import_name, members, ui_url) for members in groups.values()]
    if len(lines) > _SENTENCES:
        lines = [
            *lines[:_SENTENCES],
            f"… and {len(lines) - _SENTENCES} other kinds of failure; see the runs in Dagster",
        ]
    return "\n".join(lines)


def _alike(failed: Failed) -> str:
    """Return what is said of a failure without what differs from day to day: its own day and its numbers."""
    words = failed.failure.words.replace(failed.day, "") if failed.day else failed.failure.words
    return "".join("#" if letter.isdigit() else letter for letter in words)[:120]


def _sentence(name: str, members: list[Failed], ui_url: str | None) -> str:
    failure = members[-1].failure
    days = sorted(failed.day for failed in members if failed.day)
    shown = ", ".join(days[:_DAYS]) + (f" and {len(days) - _DAYS:,} more" if len(days) > _DAYS else "")
    what = f"{name}/{failure.asset}" if failure.asset else f"a run of {name}"
    where = f"{ui_url.rstrip('/') if ui_url else ''}/runs/{members[-1].run_id}"
    words = visible(shorten(" ".join(failure.words.split()), 600))
    return f"{what} failed for {shown or 'no day in particular'}: {words.rstrip('.')}. {_to_do(failure)} ({where})"


def _to_do(failure: Failure) -> str:
    if failure.missing:
        return "The sensor for failed days sends them again where it runs; else do what the sentence says."
    if failure.waits_for_a_person:
        return "Trying again cannot help: somebody has to act, then run the days again (Re-execute from failure)."
    return "The sensor for failed days tries again where it runs; else run the days again (Re-execute from failure)."


def post(notify: Notify, text: str) -> str | None:
    """Post *text* to the webhook; return what went wrong, in words that do not show the URL, or None."""
    url = notify.url
    if url is None:
        return None
    timeout = urllib3.Timeout(total=notify.timeout_seconds)
    try:
        with urllib3.PoolManager(retries=False, timeout=timeout) as pool:
            status = pool.request("POST", url, json={"text": _for_slack(text)}, redirect=False).status
    except Exception as error:
        return f"the webhook did not answer ({type(error).__name__})"
    return None if status < 300 else f"the webhook answers HTTP {status}"


def _for_slack(text: str) -> str:
    """Return *text* so that no mention or link comes of it: https://api.slack.com/reference/surfaces/formatting#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
