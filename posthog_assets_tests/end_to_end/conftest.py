"""What tests in a real browser share: the browser, and a page that is watched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

#: Milliseconds that a test waits for what should be there soon; a run takes a few seconds.
SOON = 120_000


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with an empty profile; without one the tests are skipped, in CI they fail."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        message = "needs a browser: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), executable_path=path, args=_ARGUMENTS,
            viewport={"width": 1500, "height": 1300},
        )  # fmt: skip
        browser.set_default_timeout(SOON)
        yield browser
        browser.close()


def watched(browser: Any, width: int) -> tuple[Any, list[str], list[str]]:
    """Return a new page, what it prints or asks, and the addresses that it loads."""
    page = browser.new_page()
    messages: list[str] = []
    loaded: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.on("request", lambda request: loaded.append(request.url))
    page.set_viewport_size({"width": width, "height": 900})
    return page, messages, loaded
