"""What every source over HTTP needs.

Belongs here: requests, answers, retries, limits. Does not belong here: what one vendor's answers mean.
"""
