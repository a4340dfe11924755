"""The contracts between the rooms, and building blocks without state.

Belongs here: what at least two rooms use: errors, schemas, timestamps, JSON text. Does not belong here: files, network,
process state, the name of a vendor.
"""
