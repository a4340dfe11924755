"""The five assets of an import, one module each.

Belongs here: glue between Dagster and `pipeline`, short enough to read aloud. Does not belong here: any work on events.
"""
