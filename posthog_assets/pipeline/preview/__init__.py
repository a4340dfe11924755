"""What an import would do, without doing it."""
