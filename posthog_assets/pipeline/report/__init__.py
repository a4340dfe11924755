"""One page that says how an import stands.

Belongs here: the numbers of all days, read from what is stored, and the page made of them. Does not belong here:
Dagster's record of failed runs (its caller brings it), or a preview of what would be sent (`pipeline.preview`).
"""
