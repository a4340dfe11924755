"""A database table or query as a source."""
