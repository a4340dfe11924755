"""Names of partitions.

Belongs here: what a partition is called in paths. Does not belong here: what is stored for it.
"""

from __future__ import annotations

from datetime import date

#: A day of an import; or a name, for what has no days.
Partition = date | str


def key_of(partition: Partition) -> str:
    """Return a partition as its key and file name, `2015-09-12`."""
    return partition if isinstance(partition, str) else partition.isoformat()
