"""The import file.

Belongs here: the whole of the file and the sections that no other room configures. Does not belong here: what a
section does.
"""
