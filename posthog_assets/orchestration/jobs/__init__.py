"""Jobs beside the assets: previews, reports, comparisons with the source, and pruning."""
