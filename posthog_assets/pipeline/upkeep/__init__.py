"""Keeping the storage folder small and clean."""
