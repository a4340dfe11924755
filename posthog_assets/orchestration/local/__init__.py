"""Runs that are started from the command line, in processes of this machine."""
