"""Many random scripts of a server that misbehaves, in a fixed budget.

Belongs here: how many are tried. Does not belong here: scripts, and what must be true
(`destination.test_misbehaving_servers`). `POSTHOG_ASSETS_SCRIPTS=1000` tries a thousand, in about half an hour.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from posthog_assets_tests.destination.test_misbehaving_servers import SCRIPT, check_script, short_pauses

__all__ = ["short_pauses"]

SCRIPTS: Final = int(os.environ.get("POSTHOG_ASSETS_SCRIPTS", "100"))


@pytest.mark.timeout(30 * SCRIPTS)
@settings(
    max_examples=SCRIPTS,
    deadline=None,
    # The same ones each time: a suite that fails by chance stops work on something else.
    derandomize=True,
    # Shrinking a failure takes longer than all the scripts; the script that fails is short as it is.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(**SCRIPT)
def test_no_script_of_a_server_loses_an_event(tmp_path_factory: pytest.TempPathFactory, **script: Any) -> None:
    check_script(tmp_path_factory.mktemp("script"), **script)
