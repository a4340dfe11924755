"""Looking at an export and writing the import file for it: `posthog-assets init`.

Belongs here: what the data shows, with its evidence, and the file that is made of it. Does not belong here:
a vendor's own marks (`dialects`), reading records (`sources.formats`), or what is printed (`cli`).
"""
