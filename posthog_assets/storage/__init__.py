"""Where partitions, locks and shared rates are kept.

Belongs here: the storage folder or object store, its layout, locks and leases. Does not belong here: what is in a file.
"""
