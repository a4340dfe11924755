"""The public name of `load_imports`, for the code locations of other projects."""

from posthog_assets.orchestration.loading import load_imports

__all__ = ["load_imports"]
