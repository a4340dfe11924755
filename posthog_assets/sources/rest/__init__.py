"""Any API as a source.

Belongs here: what `source: {type: rest}` and the recipes over it consist of. Does not belong here: HTTP that all
exports share (`sources.http.api`).
"""

from posthog_assets.sources.rest.source import Rest

__all__ = ["Rest"]
