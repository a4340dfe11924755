"""One import, and what each asset does to one day of it, without Dagster.

Belongs here: the order of calls between the rooms: export, stage, transform, deliver, verify. Does not belong here:
anything that one room could do alone, or Dagster (`orchestration`).
"""
