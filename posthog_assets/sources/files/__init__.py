"""Files as a source: on a disk, on any fsspec URL, or over HTTP."""
