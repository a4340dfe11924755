"""Bring historical product-analytics data into PostHog, day by day, as Dagster assets.

`HistoricalImport` is the Dagster component; everything below it works from a plain Python prompt, so importing this
package does not import Dagster until the component is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posthog_assets.orchestration.component import HistoricalImport

__all__ = ["HistoricalImport"]


def __getattr__(name: str) -> Any:
    if name == "HistoricalImport":
        from posthog_assets.orchestration.component import HistoricalImport

        return HistoricalImport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
