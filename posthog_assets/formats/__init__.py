"""How records are framed in a file: JSON lines, JSON array, CSV, Parquet; plain or compressed.

Belongs here: turning the bytes of one part into records with their place, and counting them. Does not
belong here: where the bytes come from (`sources`) or what the records mean (`dialects`).
"""
