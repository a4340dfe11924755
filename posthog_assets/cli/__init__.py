"""The command line.

Belongs here: arguments, and what is printed; one module a command. Does not belong here: any work on events.
"""

from posthog_assets.cli.main import main

__all__ = ["main"]
