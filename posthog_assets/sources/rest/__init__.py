"""Any API as a source.

Belongs here: what `source: {type: rest}` and the recipes over it consist of. Does not belong here: HTTP that all
exports share (`sources.http.api`).
"""
