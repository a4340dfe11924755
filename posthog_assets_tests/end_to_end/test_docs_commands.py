"""The commands of the documentation about the import `shop`, run one after another as a reader would run them."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from posthog_assets_tests.docs.test_pages import COMMANDS
from posthog_assets_tests.fakes.forked_commands import ForkedCommands

#: In this order a reader comes to them. `demo` and `sandbox` have tests of their own; `undo --mark` waits for PostHog,
#: and `compare` for numbers of the source.
ORDER = (
    "init", "list", "preview", "check", "backfill", "status", "retry-failed", "rejected", "changes", "report",
    "undo",
)  # fmt: skip


def commands() -> list[list[str]]:
    """Return the arguments of each command that is about `shop`, each once."""
    found: dict[tuple[str, ...], None] = {}
    for parameter in COMMANDS:
        words = shlex.split(str(parameter.values[0]).split("posthog-assets", 1)[1], comments=True)
        # One backfill is enough: the others are of days that this shop does not have, or the same once more.
        is_again = words[:1] == ["backfill"] and len(words) > 2
        if words and words[0] in ORDER and words[1:2] in ([], ["shop"]) and "--mark" not in words and not is_again:
            found[tuple(words)] = None
    return [list(words) for words in sorted(found, key=lambda words: ORDER.index(words[0]))]


def write_exports(folder: Path) -> None:
    folder.mkdir()
    for number in range(1, 4):
        day = f"2024-03-{number:02d}"
        rows = [
            {"id": f"{day}-{n}", "user_id": f"u-{n % 5}", "created_at": f"{day}T10:{n:02d}:00Z", "event": "viewed"}
            for n in range(20)
        ]
        (folder / f"{day}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_every_command_about_the_shop_succeeds(shared_sandbox: Any, tmp_path: Path) -> None:
    write_exports(tmp_path / "exports")
    environment = os.environ | {
        "DAGSTER_HOME": str(tmp_path / "dagster"), "POSTHOG_HOST": shared_sandbox.url,
        "POSTHOG_PROJECT_API_KEY": "phc_any", "POSTHOG_PERSONAL_API_KEY": "phx_any", "POSTHOG_PROJECT_ID": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }  # fmt: skip
    (tmp_path / "dagster").mkdir()
    ran = []
    with ForkedCommands(Path(sys.executable), environment) as forked:
        for arguments in commands():
            code, printed = forked.run(arguments, tmp_path)
            assert code == 0, f"{arguments}: {printed}"
            ran.append(arguments[0])
    assert set(ran) >= {"init", "preview", "check", "backfill", "status", "retry-failed", "changes", "report", "undo"}
    assert len(shared_sandbox.query("SELECT uuid FROM events WHERE properties.$import_job_id = 'shop'")) == 60
