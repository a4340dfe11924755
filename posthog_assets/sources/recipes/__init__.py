"""Recipes: one YAML file for each API that is described already.

Belongs here: a vendor's endpoints, limits, event names and fields, as data. Does not belong here: how they are used
(`sources.rest.recipes`).
"""
