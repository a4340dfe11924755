"""Jobs beside the assets: previews and pruning."""
