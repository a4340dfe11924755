"""A PostHog on this machine: its capture and query endpoints over embedded ClickHouse.

Belongs here: everything that only demo, tests and `posthog-assets sandbox` use. Nothing else imports it.
"""

from pathlib import Path

from posthog_assets.sandbox.process import Sandbox, SandboxFailed

__all__ = ["Sandbox", "SandboxFailed", "serve"]


def serve(
    port: int = 8010,
    data: Path | None = None,
    project_key: str | None = None,
    host: str = "127.0.0.1",
    v1: str = "on",
    most_rows: int = 50_000,
) -> int:
    """Serve until interrupted; returns the exit code (`server.serve`, imported only now: it is an optional extra)."""
    try:
        from posthog_assets.sandbox import server
    except ImportError as error:
        raise SandboxFailed(f"{error.name} is not installed: pip install 'posthog_assets[sandbox]'") from None
    return server.serve(port, data, project_key, host, v1, most_rows)
