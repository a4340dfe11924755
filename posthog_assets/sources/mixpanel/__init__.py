"""Mixpanel as a source: its events, and its profiles."""
