"""PostHog's ingestion API, and the proof of what it took.

Belongs here: bodies, requests, verdicts, the ledger, and the query that looks whether events landed. Does not
belong here: what the events should be (`mapping`), or Dagster.
"""
