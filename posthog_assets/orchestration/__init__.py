"""Everything that imports Dagster: the component, assets, checks, jobs, sensors and schedules.

Belongs here: glue between Dagster and `pipeline`. Does not belong here: any work on events.
"""
